"""The look of the page of an alert, in light and dark, on a phone and on paper. No state is shown by colour alone."""

STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --card: #fff; --text: #1a1d21; --quiet: #565e69; --line: #d8dbe0;
  --faint: #eceef0; --accent: #1f5ea8; --alert: #b3261e; --on-alert: #fff; --steady: #1b6b5f; --loss: #b04a00;
  --hatch: #b9bec6 }
@media (prefers-color-scheme: dark) { :root { --page: #121417; --card: #1a1d21; --text: #e7e9ec; --quiet: #a3abb6;
  --line: #363c44; --faint: #262a30; --accent: #86b6f2; --alert: #ff9388; --on-alert: #2a0705; --steady: #72cbb9;
  --loss: #f5a66a; --hatch: #4b525c } }
* { box-sizing: border-box } html { -webkit-text-size-adjust: 100% }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.5rem 3rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums }
a { color: var(--accent); text-underline-offset: .15em } header a { color: inherit }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; font-size: .8125rem;
  border-bottom: 1px solid var(--line); padding-bottom: .5rem; margin-bottom: .75rem } header b { font-size: 1rem }
h1 { font-size: 1.75rem; line-height: 1.25; margin: .4rem 0 .1rem; text-wrap: balance; overflow-wrap: anywhere }
h2 { font-size: 1.0625rem; margin: 2.25rem 0 .25rem; overflow-wrap: anywhere }
p { margin: .25rem 0 .75rem; max-width: 46rem; overflow-wrap: anywhere } .quiet { color: var(--quiet) }
.quiet b { color: var(--text) } .steady { color: var(--steady) } small { font-size: .8125rem }
.hero { border-top: 8px solid var(--alert); padding-top: .75rem } .hero.ticket { border-top-style: double }
.hero.silenced { border-top: 8px dotted var(--hatch) }
.badge { display: inline-block; font-weight: 700; font-size: .75rem; letter-spacing: .06em; padding: .12rem .5rem;
  border-radius: 3px; border: 2px solid var(--alert); color: var(--alert) }
.badge.page { background: var(--alert); color: var(--on-alert) }
.badge.silenced { color: var(--quiet); border: 2px dashed var(--quiet) }
.first { border: 2px solid var(--accent); background: var(--card); border-radius: 6px; padding: .75rem 1rem;
  margin: 1rem 0 } .first h2 { margin: 0 0 .15rem } .first p { margin: .15rem 0; max-width: none }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1px; margin: 1rem 0;
  background: var(--line); border-block: 1px solid var(--line) }
.figures > div { padding: .6rem 1rem; background: var(--page) }
.figures span { display: block; font-size: .8125rem; color: var(--quiet) }
.figures b { display: block; font-size: 1.25rem; line-height: 1.3; font-weight: 650; overflow-wrap: anywhere }
.figures small { color: var(--quiet) }
pre, code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .8125rem }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; line-height: 1.4;
  white-space: pre-wrap; overflow-wrap: anywhere }
.command { background: var(--faint); border: 0; border-radius: 4px; padding: .45rem .6rem; margin: .4rem 0 }
.message { white-space: pre; overflow-x: auto }
.first .command code { font-size: .9375rem }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
caption { text-align: left; color: var(--quiet); font-size: .8125rem; padding-bottom: .35rem }
thead th { font-weight: 500; color: var(--quiet); font-size: .8125rem }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere } tbody th { font-weight: 500 } .beyond th, .beyond td { font-weight: 700 }
.bar { display: block; position: relative; width: 9rem; height: 1.2rem }
.bar i { position: absolute; left: 0; top: 6px; height: 8px; background: var(--hatch) }
.beyond .bar i { background: var(--loss) }
.bar b { position: absolute; top: 2px; bottom: 2px; border-left: 2px solid var(--text) }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin: .75rem 0 } figure { margin: 0; max-width: 100% }
.pictures pre { line-height: 1; margin: 0; white-space: pre; overflow-x: auto }
figcaption { font-size: .8125rem; overflow-wrap: anywhere }
.big { display: inline-flex; align-items: center; min-height: 2.75rem; font-weight: 600 }
ul { padding-left: 1.2rem }
@media screen and (max-width: 40rem) { body { padding: .75rem .9rem 2rem } h1 { font-size: 1.375rem }
  .figures { grid-template-columns: 1fr 1fr } .figures b { font-size: 1.0625rem } pre { padding: .5rem }
  .message { font-size: .6875rem }
  table, tbody, tr, td, tbody th, caption { display: block } thead { display: none }
  tr { border-bottom: 1px solid var(--line); padding: .45rem 0 }
  td, tbody th { border: 0; padding: .08rem 0 } td { display: flex; justify-content: space-between; gap: 1rem;
  text-align: right } [data-head]::before { content: attr(data-head); color: var(--quiet);
  font-size: .8125rem; font-weight: 400; flex: none; text-align: left; margin-right: 1rem } }
@media print { :root { --page: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb; --faint: #e6e6e6;
  --accent: #1f5ea8; --alert: #b3261e; --on-alert: #fff; --steady: #1b6b5f; --loss: #b04a00; --hatch: #aaa }
  body { max-width: none; padding: 0; font-size: 10.5px } figure, tr, .first { break-inside: avoid } }
"""
