"""What a model can be trained on: each task draws batches, measures a model on held-out examples, and explains itself.

language, masked       a text of the reader's                                 texts.py
copy, reverse, sort    letters, answered after ">"                            sequences.py
induction              random tokens, repeated                                sequences.py
dates                  dates as people write them → ISO 8601, encoder-decoder dates.py
"""

from attnviz.tasks.batch import IGNORED, Batch, Task
from attnviz.tasks.dates import Dates
from attnviz.tasks.sequences import Copy, Induction, Reverse, Sort
from attnviz.tasks.texts import Language, Masked

TASKS: dict[str, type[Task]] = {task.name: task for task in (Induction, Copy, Reverse, Sort, Dates, Language, Masked)}

__all__ = ["IGNORED", "TASKS", "Batch", "Copy", "Dates", "Induction", "Language", "Masked", "Reverse", "Sort", "Task"]
