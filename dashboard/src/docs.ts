import { api } from './api';
import { byId, setText } from './dom';

interface ApiReference {
  createApiReference(target: HTMLElement, configuration: Readonly<Record<string, unknown>>): unknown;
}

declare global {
  interface Window {
    /** Set by the bundle of @scalar/api-reference; absent when it did not load. */
    readonly Scalar?: ApiReference;
  }
}

/** Shows the OpenAPI document, without any feature that contacts other servers (fonts, telemetry, proxy). */
async function start(reference: ApiReference): Promise<void> {
  reference.createApiReference(byId('app'), {
    content: await api.document(),
    baseServerURL: location.origin,
    servers: [{ url: location.origin }],
    withDefaultFonts: false,
    telemetry: false,
    hideClientButton: true,
    showDeveloperTools: 'never',
    agent: { disabled: true },
    mcp: { disabled: true },
    documentDownloadType: 'none',
    defaultOpenAllTags: true,
    theme: 'default',
    metaData: { title: 'Volume Management Daemon: the API' },
  });
  byId('notice').remove();
}

const failed = (reason: unknown): void =>
  setText(
    byId('notice'),
    `The API document cannot be shown: ${reason instanceof Error ? reason.message : reason}`,
  );
if (window.Scalar) start(window.Scalar).catch(failed);
else failed('its script did not load');
