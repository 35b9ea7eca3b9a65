import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackages } from './packages';

/** A certificate authority of our own, in a folder: what a company has whose servers no public CA knows. */
export interface PrivateCa {
  /** PEM file with its certificate. */
  readonly file: string;
  readonly pem: string;
  /** PEM files of a server certificate for 127.0.0.1 and this name. */
  sign(name: string): { readonly keyFile: string; readonly certFile: string };
}

/** With openssl, in `dir`. */
export function makePrivateCa(dir: string, name = 'ca'): PrivateCa {
  const { openssl } = ensurePackages(['openssl']);
  const run = (...args: string[]) => {
    const result = spawnSync(openssl, args, { cwd: dir, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`openssl ${args.join(' ')} failed:\n${result.stderr}`);
  };
  const key = (file: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    file,
  ];
  const paths = (base: string) => ({ keyFile: join(dir, `${base}.key`), certFile: join(dir, `${base}.pem`) });
  const ca = paths(name);
  run(
    'req',
    '-x509',
    ...key(ca.keyFile),
    '-out',
    ca.certFile,
    '-subj',
    `/CN=Private CA ${name}`,
    '-days',
    '2',
  );
  return {
    file: ca.certFile,
    pem: readFileSync(ca.certFile, 'utf8'),
    sign: (server) => {
      const own = paths(`${name}-${server}`);
      const [request, extensions] = [join(dir, `${server}.csr`), join(dir, `${server}.ext`)];
      writeFileSync(extensions, `subjectAltName=IP:127.0.0.1,DNS:${server}\n`);
      run('req', ...key(own.keyFile), '-out', request, '-subj', `/CN=${server}`);
      const signer = ['-CA', ca.certFile, '-CAkey', ca.keyFile, '-CAcreateserial'];
      run(
        'x509',
        '-req',
        '-in',
        request,
        ...signer,
        '-extfile',
        extensions,
        '-days',
        '2',
        '-out',
        own.certFile,
      );
      return own;
    },
  };
}
