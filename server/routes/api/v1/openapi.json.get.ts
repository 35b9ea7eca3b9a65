import { currentDaemon } from '../../../daemon/current';
import { openapi } from '../../../http/endpoints/service';
import { openApiDocument } from '../../../http/openapi';
import { serve } from '../../../http/serve';

let document: Record<string, unknown> | null = null;

export default serve(openapi, () => {
  document ??= openApiDocument(currentDaemon().version);
  return document;
});
