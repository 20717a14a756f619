"""The style of reports, in light and dark, for screens, phones and paper. All text reaches WCAG AA on its ground."""

LIGHT = (
    "--page:#f7f7f5;--card:#fff;--text:#1a1d21;--quiet:#565e69;--line:#d8dbe0;--faint:#eceef0;--accent:#1f5ea8;"
    "--accent-soft:#d9e6f6;--alert:#b3261e;--alert-soft:#fbeceb;--steady:#1b6b5f;--unknown:#565e69;--gain:#1f5ea8;"
    "--loss:#b04a00;--hatch:#b9bec6;--hm:60%"
)
DARK = (
    "--page:#121417;--card:#1a1d21;--text:#e7e9ec;--quiet:#a3abb6;--line:#363c44;--faint:#262a30;--accent:#86b6f2;"
    "--accent-soft:#223650;--alert:#ff9388;--alert-soft:#3a1f1d;--steady:#72cbb9;--unknown:#a3abb6;--gain:#86b6f2;"
    "--loss:#f5a66a;--hatch:#4b525c;--hm:42%"
)

CSS = (
    ":root{color-scheme:light dark;" + LIGHT + "}\n"
    "@media screen and (prefers-color-scheme:dark){:root{" + DARK + "}}\n"
    """*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:78rem;padding:1rem 1.5rem 3rem;background:var(--page);color:var(--text);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:tabular-nums;
  overflow-wrap:break-word}
bdi,tbody th,dd,pre,.hero,h1,.ex{overflow-wrap:anywhere}.cols{display:grid;gap:.5rem 1.75rem;
  grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr))}.cols>*{min-width:0}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
h1{font-size:1.5rem;line-height:1.25;margin:0;letter-spacing:-.01em;text-wrap:balance}
h2{font-size:1.0625rem;margin:2.25rem 0 .25rem}h3{font-size:.9375rem;margin:1rem 0 .25rem}
p{margin:.25rem 0 .75rem;max-width:46rem}.q{color:var(--quiet)}.s,small{font-size:.8125rem}
.n{text-align:right;white-space:nowrap}a{color:var(--accent)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.8125rem}
pre{white-space:pre-wrap;margin:0}
.top{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;align-items:baseline;padding-bottom:.5rem;margin-bottom:.75rem;
  border-bottom:1px solid var(--line);font-size:.8125rem}.top b.brand{font-size:1rem}
table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--quiet);font-size:.8125rem;padding:0 0 .35rem}
.cap{display:block;position:sticky;left:0;max-width:calc(100vw - 2rem)}
th{font-weight:500;text-align:left;color:var(--quiet);font-size:.8125rem;vertical-align:bottom}th.n{text-align:right}
th,td{padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
tbody th{color:var(--text);font-size:inherit;vertical-align:top;min-width:9rem;max-width:26rem}
.wide{overflow-x:auto}.g{width:1em;height:1em;vertical-align:-.14em;margin-right:.4em;flex:none;overflow:visible}
.vd{font-weight:650;white-space:nowrap}.vd.bad{color:var(--alert)}.vd.ok{color:var(--steady)}
.vd.un{color:var(--unknown)}
.loss{color:var(--loss)}.gain{color:var(--gain)}
.kv{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:.5rem 0}.kv dt{color:var(--quiet)}
.kv dd{margin:0;min-width:0}
.hero{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.25rem 1rem;border:2px solid var(--line);
  border-left-width:8px;
  background:var(--card);border-radius:6px;padding:.8rem 1.1rem;margin:.75rem 0}
.hero p{margin:.25rem 0 0;max-width:none}
.hero.bad{border-color:var(--alert)}.hero.un{border-style:dashed;border-color:var(--hatch)}.big{font-size:1.25rem}
figure{margin:.5rem 0}.narrow{max-width:40rem}figcaption{font-size:.8125rem;color:var(--quiet)}
.chart{margin:2.4rem .5rem 0 3rem}.plot{position:relative;height:var(--h)}
.plot>svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible;display:block}
.yl,.xl,.mk,.pl{position:absolute;font-size:.75rem;white-space:nowrap;line-height:1}.yl,.xl{color:var(--quiet)}
.yl{right:100%;margin-right:.5rem;transform:translateY(-50%)}.xl{top:100%;margin-top:.4rem;transform:translateX(-50%)}
.mk{transform:translateX(-50%)}.pl{transform:translate(.6rem,-120%)}
.pl.left{transform:translate(calc(-100% - .5rem),-120%)}
.pl.below{transform:translate(.6rem,30%)}.pl.left.below{transform:translate(calc(-100% - .5rem),30%)}
.pl.off{color:var(--quiet)}.has-x{margin-bottom:1.6rem}.plot path{vector-effect:non-scaling-stroke;fill:none}
.plot .grid{stroke:var(--faint);stroke-width:1}.plot .bar{fill:var(--accent);fill-opacity:.5}
.plot .bad{fill:var(--alert-soft)}
.ref{stroke:var(--text);stroke-width:1}.axis{stroke:var(--line)}
.lim{stroke:var(--alert);stroke-width:1.2;stroke-dasharray:5 4}
.l1{stroke:var(--accent);stroke-width:1.8}.eb{stroke:var(--quiet);stroke-width:1.2}
.dot{stroke-width:8;stroke-linecap:round;stroke:var(--accent)}.dot.off{stroke:var(--quiet)}
.fr{stroke:var(--accent);stroke-width:1.3;stroke-dasharray:5 3}
.ivc{position:relative;width:12rem;min-width:7rem}.ivl{position:absolute;top:50%;height:2px;background:var(--accent)}
.ivp{position:absolute;top:calc(50% - 4px);width:9px;height:9px;margin-left:-4px;border-radius:50%;
  background:var(--accent)}
.ivr{position:absolute;top:22%;bottom:22%;border-left:2px solid var(--text)}
.heat{width:auto}.heat td,.heat th{padding:0;border:0;font-size:.75rem;vertical-align:middle;min-width:0}
.heat td{text-align:center;height:1.9rem;min-width:1.9rem;border:1px solid var(--card);padding:0 .3rem}
.heat th{padding:.15rem .5rem .15rem 0;font-weight:400}
.heat thead th{text-align:center;padding:.15rem .2rem;vertical-align:bottom}
.h-loss{background:color-mix(in srgb,var(--loss) calc(var(--a)*var(--hm)),var(--faint))}
.h-gain{background:color-mix(in srgb,var(--gain) calc(var(--a)*var(--hm)),var(--faint))}
.h-accent{background:color-mix(in srgb,var(--accent) calc(var(--a)*var(--hm)),var(--faint))}
.hx{background:repeating-linear-gradient(45deg,transparent 0 3px,var(--hatch) 3px 4px)}
.exs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:.75rem}
.ex{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem .7rem;margin:0;min-width:0}
.ex img{display:block;height:7rem;max-width:100%;object-fit:contain;image-rendering:pixelated;margin-bottom:.3rem}
.ex audio{width:100%;margin-bottom:.3rem}.ex.text{grid-column:1/-1}.ex pre{max-height:14rem;overflow:auto}
ins,del{text-decoration-thickness:2px}ins{color:var(--gain)}del{color:var(--loss)}
.cmd{background:var(--faint);border-radius:4px;padding:.45rem .6rem;margin:.5rem 0}
.rads{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.5rem 1rem}
.rad{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.5rem .6rem}
.rad svg{width:100%;max-height:15rem;display:block}.rad figcaption{color:var(--text)}
.rad text{font-size:10px;fill:var(--quiet)}
.rad .rv{fill:var(--text);font-weight:600}.rad .ring{stroke:var(--line);fill:none}
.rad .own{stroke:var(--accent);fill:none;stroke-width:1.6}
.rad .full{fill:var(--accent);fill-opacity:.2}.rad .first{stroke:var(--quiet);fill:none;stroke-dasharray:3 3}
.foot{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.6rem;color:var(--quiet);font-size:.8125rem}
@media screen and (max-width:40rem){body{padding:.75rem .9rem 2rem}h1{font-size:1.25rem}
.hero{grid-template-columns:1fr}
.opt{display:none}.kv{grid-template-columns:1fr;gap:0}.kv dd{margin-bottom:.5rem}.ivc{width:auto}
.chart{margin-left:2.4rem}
.yl,.xl{font-size:.6875rem}
table[data-stack],[data-stack] tbody,[data-stack] tr,[data-stack] td,[data-stack] th,
[data-stack] caption{display:block;width:auto}
[data-stack] thead{display:none}[data-stack] tr{border-bottom:1px solid var(--line);padding:.45rem 0}
[data-stack] td,[data-stack] tbody th{border:0;padding:.08rem 0;text-align:right;white-space:normal;max-width:none}
[data-stack] td{display:flex;justify-content:space-between;gap:1rem}
[data-stack] .v{min-width:0;overflow-wrap:anywhere}
[data-stack] td::before{content:attr(data-h);color:var(--quiet);font-size:.8125rem;text-align:left;flex:none}
[data-stack] tbody th{text-align:left;font-weight:600}
[data-stack] td[aria-hidden]{height:1.4rem;min-width:0;width:100%}
[data-stack] td[aria-hidden]::before{content:none}}
@media print{:root{color-scheme:light}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
html{font-size:10.5px}
body{max-width:none;padding:0;font-size:1rem;background:#fff}figure,tr,.ex{break-inside:avoid}h2,h3{break-after:avoid}
.wide{overflow:visible}thead{display:table-header-group}audio{display:none}}
"""
)
