const API_PATH = '/client/api';

/**
 * The URL of the API from whatever form ossea_configs.api_url has: with or without `/client/api`, a trailing
 * slash, or a scheme (`host:8080`). Throws an Error that names what is wrong.
 */
export function apiEndpoint(text: string): string {
  const typed = text.trim();
  const shown = typed.replace(/\/\/[^@/]*@/, '//***@');
  const withScheme = /^[a-z]+:\/\//i.test(typed) ? typed : `http://${typed}`;
  let url: URL;
  try {
    url = new URL(withScheme);
  } catch {
    throw new Error(`the api_url "${shown}" is not a URL`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new Error(`the api_url "${shown}" must begin with http:// or https://`);
  if (url.username || url.password || url.search || url.hash)
    throw new Error('the api_url may hold neither credentials nor parameters');
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path.endsWith('/api') ? path : path.endsWith('/client') ? `${path}/api` : `${path}${API_PATH}`}`;
}
