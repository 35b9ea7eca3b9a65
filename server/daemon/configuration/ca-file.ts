import { X509Certificate } from 'node:crypto';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { readRegular } from '../../core/read-regular';
import { type Parse, path } from './values';

/** Certificates of CAs to trust in addition to the usual ones. */
export interface CaFile {
  readonly path: string;
  readonly pem: string;
  /** The subjects of the certificates, for logs. */
  readonly subjects: readonly string[];
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Reads a PEM file with one or more certificates. Other content is ignored; a file with a private key is
 * refused.
 */
export const caFile: Parse<CaFile> = (text) => {
  const file = path(text);
  const content = contentOf(file);
  if (content.includes('PRIVATE KEY-----'))
    throw new Error(`${file} holds a private key; name a file with the certificate of the CA alone`);
  const blocks = content.match(CERTIFICATE) ?? [];
  if (blocks.length === 0)
    throw new Error(`${file} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
  const subjects = blocks.map((block, index) => {
    try {
      return new X509Certificate(block).subject.replaceAll('\n', ', ');
    } catch (error) {
      throw new Error(`certificate ${index + 1} of ${file} cannot be read: ${messageOf(error)}`);
    }
  });
  return { path: file, pem: `${blocks.join('\n')}\n`, subjects };
};

function contentOf(file: string): string {
  try {
    return readRegular(file, LIMITS.CA_FILE_BYTES);
  } catch (error) {
    throw new Error(`cannot be read: ${messageOf(error)}`);
  }
}
