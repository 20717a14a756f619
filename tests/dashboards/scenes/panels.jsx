// The kinds of panels. Time series, numbers, bars and tables are Grafana's own components. Grafana keeps heat maps, state
// timelines and points in its server: these are imitated here, with Grafana's own colours, names and units.
// Each panel notes what it shows in window.SHOWN, by its title, for the test to read.
import React from 'react';
import { FieldType, PanelPlugin, getFieldDisplayName, getFieldDisplayValues } from '@grafana/data';
import { BarGauge, BigValue, Table, TimeSeries, useTheme2 } from '@grafana/ui';

window.SHOWN = {};
const numbers = (series) => series.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })));
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const displayed = (field, value) => {
  const { prefix = '', text, suffix = '', color } = field.display(value);
  return { text: prefix + text + suffix, color };
};
const name = (frame, field, data) => getFieldDisplayName(field, frame, data.series);

/** Wrap a component: say what is missing if there are no values, as Grafana does, and note what is shown. */
function panel(kind, Component, cells) {
  return function Drawn(props) {
    const theme = useTheme2();
    const { data, title, width, height, fieldConfig } = props;
    const empty = !numbers(data.series).some(({ field }) => field.values.some(known));
    window.SHOWN[title] = { kind, empty, error: data.errors?.map((each) => each.message).join('; ') ?? '', cells: empty ? [] : cells(props, theme) };
    if (kind === 'stat' || kind === 'bargauge') return <Component {...props} theme={theme} />;  // they show what is missing as a value
    const middle = { width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary };
    return empty ? <div style={middle}>{fieldConfig.defaults.noValue ?? 'No data'}</div> : <Component {...props} theme={theme} />;
  };
}

const lastOf = ({ data }) => numbers(data.series).map(({ frame, field }) => {
  const value = field.values.filter(known).at(-1);
  const ends = [field.values.findIndex(known), field.values.findLastIndex(known)];
  const broken = field.values.some((each, i) => !known(each) && i > ends[0] && i < ends[1]);
  return { name: name(frame, field, data), kind: 'number', value, broken, ...(value === undefined ? { text: '' } : displayed(field, value)) };
});
const everyCell = ({ data }) => data.series.flatMap((frame) => frame.fields.flatMap((field) => Array.from(field.values, (value) => ({
  name: name(frame, field, data), kind: field.type, value, ...displayed(field, value) }))));
const everyState = ({ data }) => numbers(data.series).flatMap(({ frame, field }) => [...new Set(field.values.filter(known))].map((value) => ({
  name: name(frame, field, data), kind: 'number', value, ...displayed(field, value) })));

function Series({ data, width, height, options, timeRange, timeZone }) {
  const finite = (field) => (field.type === FieldType.number ? { ...field, values: field.values.map((value) => (Number.isFinite(value) ? value : null)) } : field);
  const frames = data.series.map((frame) => ({ ...frame, fields: frame.fields.map(finite) }));
  return <TimeSeries {...{ width, height, frames, timeRange, timeZone, options }} legend={options.legend} />;
}

const reduced = ({ fieldConfig, options, replaceVariables, data, timeZone, theme }) => getFieldDisplayValues({
  fieldConfig, theme, replaceVariables, timeZone, data: data.series,
  reduceOptions: { calcs: ['lastNotNull'], values: false, ...options.reduceOptions } });

function Stat(props) {
  const values = reduced(props);
  return values.map((each, i) => <BigValue key={i} width={props.width / values.length} height={props.height} value={each.display}
    theme={props.theme} colorMode={props.options.colorMode} graphMode="none" textMode={props.options.textMode} />);
}

function Bars(props) {
  const values = reduced(props);
  const height = Math.min(props.height / values.length, 60);
  return values.map((each, i) => <div key={i} style={{ height }}><BarGauge width={props.width} height={height - 4} value={each.display} field={each.field}
    display={each.view?.getFieldDisplayProcessor(each.colIndex ?? 1)} theme={props.theme} orientation="horizontal"
    displayMode={props.options.displayMode ?? 'gradient'} text={props.options.text} valueDisplayMode={props.options.valueMode} /></div>);
}

const Rows = ({ data, width, height, options }) => <Table {...{ width, height }} data={data.series[0]} initialSortBy={options.sortBy} cellHeight={options.cellHeight ?? 'sm'} />;

const LEFT = 150, BOTTOM = 20;
/** Places on an axis of time, with its labels. */
function timeAxis({ timeRange, width, height, theme }) {
  const from = timeRange.from.valueOf(), span = timeRange.to.valueOf() - from;
  const x = (at) => LEFT + ((width - LEFT - 10) * (at - from)) / span;
  const ticks = [0, 1, 2, 3, 4, 5].map((i) => <text key={i} x={x(from + (span * i) / 5)} y={height - 5} textAnchor="middle" fontSize={11} fill={theme.colors.text.secondary}>
    {new Date(from + (span * i) / 5).toISOString().slice(11, 16)}</text>);
  return { x, ticks };
}

/** Rows of rectangles over time; `fill` gives the colour of a value, or nothing. */
function Grid({ props, rows, fill, labels }) {
  const { width, height, theme } = props;
  const { x, ticks } = timeAxis(props);
  const high = (height - BOTTOM) / rows.length;
  return <svg width={width} height={height}>{ticks}{rows.map((row, i) => <g key={i}>
    {labels(i) && <text x={0} y={(i + 0.5) * high + 4} fontSize={11} fill={theme.colors.text.primary}>{row.name.slice(0, 26)}</text>}
    {row.values.map((value, k) => { const color = known(value) && k + 1 < row.times.length && fill(value, row.field);
      return color && <rect key={k} x={x(row.times[k])} width={x(row.times[k + 1]) - x(row.times[k]) + 0.5} y={i * high + 1} height={high - 2} fill={color} />; })}
  </g>)}</svg>;
}

const rowsOf = (data) => numbers(data.series).map(({ frame, field }) => ({ field, name: name(frame, field, data), values: field.values, times: frame.fields[0].values }));
const States = (props) => <Grid props={props} rows={rowsOf(props.data)} fill={(value, field) => field.display(value).color} labels={() => true} />;

/** Mix two colours of the form #rrggbb; `share` of the second. */
function mix(one, other, share) {
  const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const [a, b] = [parts(one), parts(other)];
  return `rgb(${a.map((part, i) => Math.round(part + (b[i] - part) * share)).join(',')})`;
}

function Heat(props) {
  const { color = {} } = props.options;
  const rows = rowsOf(props.data).reverse();
  const all = rows.flatMap((row) => row.values.filter(known));
  const low = color.min ?? Math.min(...all), high = color.max ?? Math.max(...all);
  const [cold, hot] = [props.theme.isDark ? '#22252b' : '#f0f0f2', props.theme.visualization.getColorByName(color.fill ?? 'dark-orange')];
  const fill = (value) => {
    if (value === 0 && props.data.series[0].meta?.type === 'heatmap-rows') return null;
    const share = Math.min(Math.max((value - low) / (high - low || 1), 0), 1) ** (color.exponent ?? 0.5);
    return mix(cold, hot, share);
  };
  const often = Math.ceil(rows.length / (props.height / 14));
  return <Grid props={props} rows={rows} fill={fill} labels={(i) => i % often === 0} />;
}

function Points({ data, width, height, options, theme }) {
  const [frame] = data.series;
  const [{ x: across, y: up }] = options.series;
  const field = (axis) => frame.fields.find((each) => name(frame, each, data) === axis.matcher.options);
  const [a, b] = [field(across), field(up)];
  const label = frame.fields.find((each) => each.name === 'target');
  const range = (values) => { const found = values.filter(known); const [low, high] = [Math.min(...found), Math.max(...found)]; const room = (high - low || high || 1) * 0.15; return [low - room, high + room]; };
  const [[x0, x1], [y0, y1]] = [range(a.values), range(b.values)];
  const color = theme.colors.text.secondary;
  return <svg width={width} height={height} fontSize={11} fill={color}>
    <text x={2} y={12}>{up.matcher.options} {displayed(b, y0).text} to {displayed(b, y1).text}</text>
    <text x={width - 4} y={height - 4} textAnchor="end">{across.matcher.options} {displayed(a, x0).text} to {displayed(a, x1).text}</text>
    {a.values.map((value, i) => known(value) && known(b.values[i]) && <g key={i} transform={`translate(${40 + ((width - 120) * (value - x0)) / (x1 - x0)},${height - 30 - ((height - 60) * (b.values[i] - y0)) / (y1 - y0)})`}>
      <circle r={5} fill={theme.visualization.getColorByName('blue')} /><text x={8} y={4}>{label?.values[i]}</text></g>)}
  </svg>;
}

const LINE = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, spanNulls: false, showPoints: 'auto', pointSize: 5, axisPlacement: 'auto',
  hideFrom: { legend: false, tooltip: false, viz: false }, scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, gradientMode: 'none', thresholdsStyle: { mode: 'off' },
};
const CUSTOM = [...Object.keys(LINE), 'cellOptions', 'align', 'fillBelowTo', 'lineStyle', 'axisLabel', 'axisSoftMin', 'axisSoftMax', 'width', 'barAlignment', 'insertNulls', 'axisColorMode', 'axisBorderShow', 'axisCenteredZero', 'inspect', 'hidden', 'filterable'];

function plugin(id, component, cells, mode = 'thresholds') {
  const made = new PanelPlugin(panel(id, component, cells));
  const settings = (builder) => CUSTOM.forEach((path) => builder.addCustomEditor({
    id: path, path, name: path, editor: () => null, override: () => null, process: (value) => value, shouldApply: () => true,
    defaultValue: id === 'timeseries' ? LINE[path] : undefined }));
  made.useFieldConfig({ standardOptions: { color: { defaultValue: { mode } } }, useCustomConfig: settings });
  made.meta = { id, name: id, type: 'panel', info: { version: '13.0.2', logos: {} }, module: '', baseUrl: '' };
  return made;
}

export const plugins = {
  timeseries: plugin('timeseries', Series, lastOf, 'palette-classic'),
  stat: plugin('stat', Stat, lastOf),
  bargauge: plugin('bargauge', Bars, lastOf),
  table: plugin('table', Rows, everyCell),
  heatmap: plugin('heatmap', Heat, lastOf),
  'state-timeline': plugin('state-timeline', States, everyState),
  xychart: plugin('xychart', Points, everyCell, 'palette-classic'),
};
