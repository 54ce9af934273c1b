"""The page "What if?"."""
