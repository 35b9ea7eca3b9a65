import { type H3Event, setResponseHeader } from 'h3';
import type { Page } from './html-pages';

/** The text of a page, whose policy goes with it. */
export function sendPage(event: H3Event, { html, policy }: Page): string {
  setResponseHeader(event, 'Content-Security-Policy', policy);
  return html;
}
