export const PACKAGED_NODE: {
  readonly version: string;
  /** Base64, by `process.arch`. */
  readonly sha512: Readonly<Record<string, string>>;
};

/** Path of the program of the Node for packages, fetched when it is not there yet. */
export function packagedNode(): string;
