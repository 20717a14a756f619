"""Live traffic: where its rows come from, a bounded sample of them, and what is compared with the reference.

The agent keeps requests as they came, in `sample`, and knows nothing of what is in them: `tap` has one sample for each
watch, fed over HTTP (`events`) or from a log that grows (`follow`). A worker reads them (`rows`) and makes columns of
them (`features`), which the monitor *drift* counts.
"""
