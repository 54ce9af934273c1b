"""What a model can be trained on: each task draws batches, measures a model on held-out examples, and explains itself.

language, masked       a text of the reader's                                 texts.py
copy, reverse, sort    letters, answered after ">"                            sequences.py
induction              random tokens, repeated                                sequences.py
dates                  dates as people write them → ISO 8601, encoder-decoder dates.py
tales                  hidden words in sentences of a small grammar           tales.py, grammar.py
digits                 handwritten digits of 8 × 8 pixels, vision             digits.py
"""

from attnviz import on_demand
from attnviz.training.tasks.batch import IGNORED, Batch, Role, Task
from attnviz.training.tasks.dates import Dates
from attnviz.training.tasks.digits import Digits
from attnviz.training.tasks.sequences import Copy, Induction, Reverse, Sort
from attnviz.training.tasks.tales import Tales
from attnviz.training.tasks.texts import Language, Masked

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Induction, Copy, Reverse, Sort, Dates, Tales, Digits, Language, Masked)
}

__all__ = [
    "IGNORED",
    "TASKS",
    "Batch",
    "Copy",
    "Dates",
    "Digits",
    "Induction",
    "Language",
    "Masked",
    "Reverse",
    "Role",
    "Sort",
    "Tales",
    "Task",
]

__getattr__, __dir__ = on_demand(__name__, __path__)
