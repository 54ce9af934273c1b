"""Measures and answers: traces in, numbers out, each with its source.

Begin with `measures`: a new measure of a head goes there. `roles` says what each head is for, `cards` puts that
together with examples and with what is lost without it, `heads` scores previous-token, duplicate-token and induction
heads, `sinks` finds where heads rest, `ablation` changes every head in turn. `patching` puts another text's
activations in the place of this one's, measured by one of `outcomes`, at the `sites` of a run; `patching_gradient`
says the same by one gradient, `self_repair` what comes back after a removal, `cell_removal` what softmax hides of it.
`rollout` follows attention through layers, `attribution` splits a score or a logit into what each part of the model
put there, `provenance` says where any single number comes from. `evidence` puts seven measures of what a prediction
owes to each token side by side, with `flow`, `contributions`, `gradients` and `erasure` among them, and `agreement`
compares their orders. `comparison` lays two heads side by side, of two texts, runs or models. `space` places
vectors on a plane. `causality` exchanges a word and looks who notices, `word_order` shuffles, `scaling` is about √d
and temperature, `residual` about the stream between layers, `variants` and `cost` about other kinds of attention.
"""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
