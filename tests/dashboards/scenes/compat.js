// What @grafana/scenes 9.2 asks for and @grafana/runtime 13.0 does not have yet.
import { getDataSourceSrv } from '@grafana/runtime';

export const getDataSourceInstance = (...asked) => getDataSourceSrv().get(...asked);
export const getDataSourceInstanceList = async (...asked) => getDataSourceSrv().getList(...asked);
export const getDataSourceInstanceSettings = async (...asked) => getDataSourceSrv().getInstanceSettings(...asked);
export const getDefaultDataSourceInstanceListItem = (list) => list?.[0];
