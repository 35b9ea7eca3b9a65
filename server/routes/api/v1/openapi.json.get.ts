import { openapi } from '../../../http/endpoints/service';
import { openApiDocument } from '../../../http/openapi';
import { serve } from '../../../http/serve';

let document: Record<string, unknown> | null = null;

export default serve(openapi, ({ daemon }) => {
  document ??= openApiDocument(daemon.version);
  return document;
});
