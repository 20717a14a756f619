// A data source that asks Prometheus as Grafana's does: the same step, $__rate_interval and kinds of frames.
import { FieldType, toDataFrame } from '@grafana/data';
import { RuntimeDataSource, sceneGraph } from '@grafana/scenes';

const legend = (format, labels) => format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
const seconds = (value) => ({ value: `${Math.round(value)}s`, text: '' });
const bound = (le) => (le === '+Inf' ? Infinity : Number(le));
const among = (value) => (Array.isArray(value) ? (value.length > 1 ? `(${value.join('|')})` : `${value[0]}`) : `${value}`);

function table(target, result, several) {
  const labels = [...new Set(result.flatMap((each) => Object.keys(each.metric)))].sort();
  const strings = labels.map((name) => ({ name, type: FieldType.string, values: result.map((each) => each.metric[name] ?? '') }));
  const numbers = { name: several ? `Value #${target.refId}` : 'Value', type: FieldType.number, values: result.map((each) => Number(each.value[1])) };
  const times = { name: 'Time', type: FieldType.time, values: result.map((each) => each.value[0] * 1000) };
  return toDataFrame({ refId: target.refId, fields: result.length ? [times, ...strings, numbers] : [] });
}

function line(target, metric, times, values) {
  const config = { displayNameFromDS: legend(target.legendFormat, metric) };
  return toDataFrame({ refId: target.refId, fields: [
    { name: 'Time', type: FieldType.time, values: times },
    { name: 'Value', type: FieldType.number, labels: metric, values, config },
  ] });
}

/** Buckets of a histogram, each without the ones below it. */
function buckets(target, result, times, filled) {
  const rows = result.map((each) => ({ le: each.metric.le, values: filled(each.values) })).sort((a, b) => bound(a.le) - bound(b.le));
  for (let i = rows.length - 1; i > 0; i--) {
    rows[i].values = rows[i].values.map((value, k) => (value === null ? null : Math.max(0, value - (rows[i - 1].values[k] ?? 0))));
  }
  const fields = rows.map((row) => ({ name: row.le, type: FieldType.number, values: row.values, labels: { le: row.le } }));
  return toDataFrame({ refId: target.refId, meta: { type: 'heatmap-rows' }, fields: [{ name: 'Time', type: FieldType.time, values: times }, ...fields] });
}

export class Prometheus extends RuntimeDataSource {
  constructor(url, scrape) {
    super('prometheus', 'prom');
    Object.assign(this, { url, scrape, asking: 0, answeredAt: performance.now() });
  }

  /** Whether nothing has been asked for a while. */
  settled() {
    return this.asking === 0 && performance.now() - this.answeredAt > 500;
  }

  async ask(path, asked) {
    this.asking++;
    const answer = await (await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(asked)}`)).json();
    this.asking--;
    this.answeredAt = performance.now();
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${asked.query}`);
    return answer.data;
  }

  async query(request) {
    const end = request.range.to.valueOf() / 1000, start = request.range.from.valueOf() / 1000;
    const step = Math.max(request.intervalMs / 1000, this.scrape);
    const own = { __rate_interval: seconds(Math.max(step + this.scrape, 4 * this.scrape)), __interval: seconds(step), __range: seconds(end - start) };
    const scene = request.scopedVars.__sceneObject?.value?.valueOf();
    const frames = [];
    for (const target of request.targets) {
      const query = sceneGraph.interpolate(scene, target.expr, { ...request.scopedVars, ...own }, among);
      if (target.instant) {
        const { result } = await this.ask('query', { query, time: end });
        if (target.format === 'table') frames.push(table(target, result, request.targets.length > 1));
        else frames.push(...result.map(({ metric, value }) => line(target, metric, [value[0] * 1000], [Number(value[1])])));
        continue;
      }
      const from = Math.floor(start / step) * step;
      const times = Array.from({ length: Math.floor((end - from) / step) + 1 }, (_, i) => (from + i * step) * 1000);
      const { result } = await this.ask('query_range', { query, start: from, end, step });
      const filled = (values) => {
        const known = new Map(values.map(([at, value]) => [Math.round(at * 1000), Number(value)]));
        return times.map((at) => known.get(Math.round(at)) ?? null);
      };
      if (target.format === 'heatmap') frames.push(buckets(target, result, times, filled));
      else frames.push(...result.map((each) => line(target, each.metric, times, filled(each.values))));
    }
    return { data: frames };
  }

  async metricFindQuery(asked, options) {
    const scene = options?.scopedVars?.__sceneObject?.value?.valueOf();
    const { from, to } = sceneGraph.getTimeRange(scene).state.value;
    const at = { start: from.valueOf() / 1000, end: to.valueOf() / 1000 };
    const query = sceneGraph.interpolate(scene, asked.query ?? asked, { __range: seconds(at.end - at.start) }, among);
    const [, matcher, label] = /^label_values\((.*),\s*(\w+)\)$/.exec(query) ?? [];
    if (label) return (await this.ask(`label/${label}/values`, { 'match[]': matcher, ...at })).map((text) => ({ text }));
    const [, expr] = /^query_result\((.*)\)$/s.exec(query);
    const { result } = await this.ask('query', { query: expr, time: at.end });
    return result.map(({ metric, value }) => ({ text: `${JSON.stringify(metric)} ${value[1]} ${value[0] * 1000}` }));
  }
}
