"""Soak test: one agent among hostile servers, hostile clients and kills; its losses, resources and verdicts.

`servers` and `clients` are processes of their own, so that the time that they take is not in what is measured.
`setting` is the agent and its config, `harm` kills, `readings` samples, `findings` compares ledger, log and servers.
"""
