// Draws panels of the dashboards with the components that Grafana itself draws them with, from answers of Prometheus.
// Both are given by tests/real/test_drawing.py. What Grafana keeps in its server (which settings there are, and what each
// kind of panel makes of its options) is filled in here.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';
import {
  ThemeContext, applyFieldOverrides, createTheme, dateTime, getFieldDisplayValues, Registry, FieldType,
  standardTransformers, standardTransformersRegistry, toDataFrame, transformDataFrame, getValueFormats,
} from '@grafana/data';
import { BarGauge, BigValue, Table, TimeSeries } from '@grafana/ui';

const WIDTH = 600, HEIGHT = 260;
const theme = createTheme();
standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((each) => ({
    id: each.id, name: each.name, description: '', editor: () => null, transformation: each,
  })));

const units = new Set(getValueFormats().flatMap((group) => group.submenu.map((format) => format.value)));
const SETTINGS = ['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'thresholds', 'mappings', 'color', 'links'];
const item = (id, path, isCustom) => ({ id, path, name: id, isCustom, process: (value) => value, shouldApply: () => true });
const registry = (custom) => new Registry(() => [
  ...SETTINGS.map((id) => item(id, id, false)), ...Object.keys(custom).map((id) => item(`custom.${id}`, id, true)),
]);

const named = (legend, labels) => legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');

function frames({ panel, answers }) {
  const table = panel.type === 'table';
  return answers.flatMap(({ refId, legend, series }) => {
    if (table) {
      const labels = [...new Set(series.flatMap((each) => Object.keys(each.metric)))].sort();
      return [toDataFrame({ refId, fields: [
        { name: 'Time', type: FieldType.time, values: series.map((each) => each.values[0][0] * 1000) },
        ...labels.map((name) => ({ name, type: FieldType.string, values: series.map((each) => each.metric[name] ?? '') })),
        { name: panel.targets.length > 1 ? `Value #${refId}` : 'Value', type: FieldType.number,
          values: series.map((each) => Number(each.values[0][1])) },
      ] })];
    }
    return series.map((each) => toDataFrame({ refId, name: named(legend, each.metric), fields: [
      { name: 'Time', type: FieldType.time, values: each.values.map(([at]) => at * 1000) },
      { name: 'Value', type: FieldType.number, labels: each.metric, values: each.values.map(([, value]) => Number(value)),
        config: { displayNameFromDS: named(legend, each.metric) } },
    ] }));
  });
}

async function prepared(asked) {
  const { panel } = asked;
  const found = await firstValueFrom(transformDataFrame(panel.transformations ?? [], frames(asked)));
  const { defaults, overrides } = panel.fieldConfig;
  const color = { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  return applyFieldOverrides({
    data: found, theme, timeZone: 'utc', replaceVariables: (text) => text,
    fieldConfig: { defaults: { color, ...defaults }, overrides },
    fieldConfigRegistry: registry(defaults.custom ?? {}),
  });
}

function Drawn({ panel, data, range }) {
  const size = { width: WIDTH, height: HEIGHT };
  if (panel.type === 'timeseries') {
    return <TimeSeries {...size} frames={data} timeRange={range} timeZone="utc" legend={panel.options.legend} options={panel.options} />;
  }
  if (panel.type === 'table') return <Table {...size} data={data[0]} />;
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, data, timeZone: 'utc',
  });
  const each = { width: WIDTH, height: Math.min(HEIGHT, 60) };
  return values.map((value, i) => panel.type === 'stat'
    ? <BigValue key={i} {...each} value={value.display} theme={theme} colorMode={panel.options.colorMode} graphMode="none" />
    : <BarGauge key={i} {...each} value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 1)}
        theme={theme} orientation={panel.options.orientation} displayMode={panel.options.displayMode} />);
}

class Caught extends React.Component {
  state = { error: null };
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre className="error">{String(this.state.error)}</pre> : this.props.children; }
}

window.unitsOf = (panel) => [panel.fieldConfig.defaults.unit,
  ...panel.fieldConfig.overrides.flatMap((o) => o.properties.filter((p) => p.id === 'unit').map((p) => p.value))];
window.knowsUnit = (unit) => units.has(unit) || unit.startsWith('suffix:');
window.draw = async (asked, from, to) => {
  const range = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  const panels = await Promise.all(asked.map(async (each) => ({ panel: each.panel, data: await prepared(each), range })));
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      {panels.map((each) => (
        <section key={each.panel.title} data-title={each.panel.title} style={{ width: WIDTH, margin: 8 }}>
          <h4 style={{ color: theme.colors.text.primary }}>{each.panel.title}</h4>
          <Caught><Drawn {...each} /></Caught>
        </section>))}
    </ThemeContext.Provider>);
};
