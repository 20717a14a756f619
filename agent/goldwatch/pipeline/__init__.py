"""From an assignment to a judgement: one replay, and all that is around it."""
