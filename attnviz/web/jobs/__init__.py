"""Work that outlasts one run of a page: trainings, downloads, and long measurements in slices."""
