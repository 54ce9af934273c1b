"""The temperatures that a dial offers, on every page that has one."""

from attnviz.browser.view_values import TEMPERATURES as TEMPERATURES

MARKS = {0.05: "sharp", 1.0: "1", 20.0: "even"}
