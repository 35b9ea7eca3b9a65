import { defineEventHandler } from 'h3';
import { builtFiles, serveFile } from '../http/pages/static-files';

/** Before the guard: the files need no token, so that a page can ask for one. */
export default defineEventHandler(async (event) => {
  const served = await serveFile(event, builtFiles);
  return served === false ? undefined : served;
});
