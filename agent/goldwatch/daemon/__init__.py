"""The agent: one long-lived process that replays on a schedule, keeps history, alerts and exports. Imports no numpy.

`start` starts the process, `process` handles its signals, `service` dispatches due watches. Per due watch, `runner`
calls `pipeline` (which calls `engine`, then the job `judge` in a worker), then `alarms`, `ledger` and `exports`.
`endpoints` serves metrics, the API and the pages; `tap` samples live traffic.
`goldwatch check` and other commands use `in_force`, `pipeline` and `history` without starting the agent.
"""
