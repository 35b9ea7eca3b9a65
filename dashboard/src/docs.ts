import { headers, problem } from './api';
import { byId, setText } from './dom';

/** What the bundle of @scalar/api-reference puts on the window. */
interface ApiReference {
  createApiReference(target: HTMLElement, configuration: Readonly<Record<string, unknown>>): unknown;
}

/**
 * Shows the OpenAPI document with everything switched off that would leave this daemon: no fonts from elsewhere, no telemetry, no
 * proxy for trial requests, no registry, no assistant.
 */
async function start(reference: ApiReference): Promise<void> {
  const answer = await fetch('/api/v1/openapi.json', { headers: headers() });
  const text = await answer.text();
  if (!answer.ok) throw problem(answer.status, text);
  reference.createApiReference(byId('app'), {
    content: JSON.parse(text),
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

function bundle(): ApiReference | null {
  const found: unknown = Reflect.get(window, 'Scalar');
  return isReference(found) ? found : null;
}

function isReference(value: unknown): value is ApiReference {
  return typeof value === 'object' && value !== null && 'createApiReference' in value;
}

const reference = bundle();
const failed = (reason: unknown): void =>
  setText(
    byId('notice'),
    `The API document cannot be shown: ${reason instanceof Error ? reason.message : reason}`,
  );
if (reference) start(reference).catch(failed);
else failed('its script did not load');
