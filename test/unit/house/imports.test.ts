import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** Import specifiers with whether they vanish at run time (`import type`). */
function importsOf(file: string): { specifier: string; typeOnly: boolean }[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm)].map(
    (match) => ({ specifier: match[2] ?? '', typeOnly: match[1] !== undefined }),
  );
}

function target(file: string, specifier: string): string | null {
  const path = specifier.startsWith('~/')
    ? specifier.slice(2)
    : specifier.startsWith('.')
      ? relative(root, resolve(root, dirname(file), specifier))
      : null;
  if (path === null) return null;
  return [`${path}.ts`, `${path}/index.ts`].find((candidate) => known.has(candidate)) ?? null;
}

const server = filesIn('server');
const known = new Set([...server, ...filesIn('tasks'), ...filesIn('plugins')]);
const HTTP_ROOMS = ['server/routes/', 'server/middleware/', 'server/http/'];
const domain = server.filter((file) => !HTTP_ROOMS.some((room) => file.startsWith(room)));

describe('the rules of the house', () => {
  it('looks at the files it means to look at', () => {
    expect(domain.length).toBeGreaterThan(40);
    expect(domain).toContain('server/operations/engine.ts');
  });

  it('the domain knows nothing of HTTP: no h3, no nitropack, no route', () => {
    const wrong = domain.flatMap((file) =>
      importsOf(file)
        .filter(
          ({ specifier }) =>
            /^(h3|nitropack)(\/|$)/.test(specifier) ||
            HTTP_ROOMS.some((room) => target(file, specifier)?.startsWith(room)),
        )
        .map(({ specifier }) => `${file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('imports form no circle', () => {
    const edges = new Map(
      [...known].map((file) => [
        file,
        importsOf(file)
          .filter(({ typeOnly }) => !typeOnly)
          .flatMap(({ specifier }) => target(file, specifier) ?? []),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (path.includes(file) || done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of known) visit(file, []);
    expect(circles).toEqual([]);
  });

  it('only the composition root chooses implementations: the engine sees ports', () => {
    const wrong = domain
      .filter((file) => file.startsWith('server/operations/') || file.startsWith('server/sync/'))
      .flatMap((file) =>
        importsOf(file)
          .map(({ specifier }) => target(file, specifier))
          .filter((path) => path !== null && /mysql|http-cloud|nbd-server|sysfs/.test(path))
          .map((path) => `${file} imports ${path}`),
      );
    expect(wrong).toEqual([]);
  });
});
