// Draws a whole dashboard from its JSON with @grafana/scenes, in a browser and without Grafana's server.
// tests/real/drawer.py bundles it and says in window.ASKED where Prometheus is.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { from } from 'rxjs';
import {
  EventBusSrv, LoadingState, ThemeContext, createTheme, getValueFormats, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
} from '@grafana/data';
import * as runtime from '@grafana/runtime';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import {
  CustomVariable, EmbeddedScene, LocalValueVariable, QueryVariable, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneGridRow, SceneQueryRunner,
  SceneTimePicker, SceneTimeRange, SceneVariableSet, SceneControlsSpacer, VariableValueSelectors, VizPanel, registerRuntimeDataSource,
} from '@grafana/scenes';
import { plugins } from './panels.jsx';
import { Prometheus } from './prometheus.js';

const { mode, scrape, url } = window.ASKED;
const theme = createTheme({ colors: { mode } });
const { mergeTransformer, organizeFieldsTransformer, groupingToMatrixTransformer } = standardTransformers;
standardTransformersRegistry.setInit(() => [mergeTransformer, organizeFieldsTransformer, groupingToMatrixTransformer]
  .map((each) => ({ id: each.id, name: each.name, description: '', editor: () => null, transformation: each })));
const setting = (id) => ({ id, path: id, name: id, process: (value) => value, shouldApply: () => true, override: () => null, editor: () => null, getItemsCount: () => 0, settings: {} });
standardFieldConfigEditorRegistry.setInit(() =>
  ['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'thresholds', 'mappings', 'color', 'links', 'fieldMinMax', 'filterable', 'actions'].map(setting));

const prometheus = new Prometheus(url, scrape);
registerRuntimeDataSource({ dataSource: prometheus });
const settings = { name: 'Prometheus', uid: 'prom', type: 'prometheus', meta: { id: 'prometheus' } };
runtime.setPluginImportUtils({ importPanelPlugin: async (id) => plugins[id], getPanelPluginFromCache: (id) => plugins[id] });
runtime.setRunRequest((source, request) => from(source.query(request).then(
  (answer) => ({ state: LoadingState.Done, series: answer.data, timeRange: request.range, request }),
  (error) => ({ state: LoadingState.Error, series: [], timeRange: request.range, errors: [{ message: String(error) }] }))));
runtime.setTemplateSrv({ replace: (text) => text, getVariables: () => [], containsTemplate: () => false, updateTimeRange: () => {} });
runtime.setDataSourceSrv({ get: async () => prometheus, getList: () => [settings], getInstanceSettings: () => settings, reload() {}, registerRuntimeDataSource() {} });
runtime.setAppEvents?.(new EventBusSrv());
runtime.setEchoSrv?.({ flush() {}, addBackend() {}, addEvent() {} });
runtime.setReturnToPreviousHook?.(() => () => {});
runtime.setChromeHeaderHeightHook?.(() => 0);
Object.assign(runtime.config, { theme2: theme, featureToggles: {}, bootData: { user: { timezone: 'utc', weekStart: '', locale: 'en' }, settings: {} } });
runtime.setCurrentUser?.({});

const datasource = { type: 'prometheus', uid: 'prom' };

function variable(each, chosen) {
  if (each.type === 'datasource') return new CustomVariable({ name: each.name, label: each.label, query: 'Prometheus : prom', value: 'prom', text: 'Prometheus' });
  const every = each.includeAll ? { value: ['$__all'], text: ['All'] } : {};
  const value = chosen[each.name] ? { value: chosen[each.name], text: chosen[each.name] } : every;
  return new QueryVariable({ name: each.name, label: each.label, datasource, query: { query: each.query, refId: each.name }, regex: each.regex, hide: each.hide,
    isMulti: each.multi, includeAll: each.includeAll, allValue: each.allValue, refresh: each.refresh, sort: each.sort, ...value });
}

function drawn(panel, extra) {
  const queries = new SceneQueryRunner({ datasource, queries: panel.targets, maxDataPoints: panel.maxDataPoints, minInterval: panel.interval });
  const $data = panel.transformations?.length ? new SceneDataTransformer({ $data: queries, transformations: panel.transformations }) : queries;
  return new VizPanel({ pluginId: panel.type, title: panel.title, description: panel.description, options: panel.options ?? {}, fieldConfig: panel.fieldConfig, pluginVersion: '13.0.2', $data, ...extra });
}

/** Place a panel, or one for each value of the variable that it repeats. */
function placed(panel, repeats) {
  const { x, y, w, h } = panel.gridPos;
  if (!panel.repeat) return [new SceneGridItem({ x, y, width: w, height: h, body: drawn(panel) })];
  const values = repeats[panel.repeat];
  const width = 24 / Math.max(values.length, panel.maxPerRow ?? 1);
  return values.map((value, i) => new SceneGridItem({ x: i * width, y, width, height: h, body: drawn({ ...panel, title: panel.title.replace(`$${panel.repeat}`, value) },
    { $variables: new SceneVariableSet({ variables: [new LocalValueVariable({ name: panel.repeat, value, text: value })] }) }) }));
}

const open = (panels) => panels.flatMap((each) => (each.type === 'row' ? [{ ...each, panels: [] }, ...each.panels] : [each]));

/** Draw a dashboard with all its rows open; `chosen` are the values of its variables, `repeats` those to repeat panels by. */
window.show = (board, range, chosen, repeats) => {
  const variables = board.templating.list.map((each) => variable(each, chosen));
  const children = open(board.panels).flatMap((each) => (each.type === 'row'
    ? [new SceneGridRow({ title: each.title, y: each.gridPos.y, isCollapsible: true, children: [] })] : placed(each, repeats)));
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ ...range, timeZone: 'utc' }), $variables: new SceneVariableSet({ variables }),
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({})], body: new SceneGridLayout({ isLazy: false, children }) });
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('root')).render(<MemoryRouter><ThemeContext.Provider value={theme}><GlobalStyles />
    <div style={{ padding: 12, minHeight: '100vh', display: 'flex', flexDirection: 'column', fontFamily: theme.typography.fontFamily, fontSize: 14, color: theme.colors.text.primary }}>
      <h3 style={{ margin: '0 0 8px', fontWeight: 500 }}>{board.title} <small style={{ color: theme.colors.text.secondary, fontSize: 12 }}>{board.description}</small></h3>
      <scene.Component model={scene} /></div><PortalContainer /></ThemeContext.Provider></MemoryRouter>);
};

window.settled = () => prometheus.settled();
const units = new Set(getValueFormats().flatMap((group) => group.submenu.map((format) => format.value)));
window.knowsUnit = (unit) => units.has(unit) || unit.startsWith('suffix:');
