// The default export that @grafana/ui expects; the package has a named one.
const all = require('scrollbars-as-they-are');

export const Scrollbars = all.Scrollbars ?? all.default?.Scrollbars ?? all.default;
export default Scrollbars;
