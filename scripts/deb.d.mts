export interface DebOptions {
  /** Folder that gets the package. */
  readonly out: string;
  /** The program of the Node to put into the package; by default none. */
  readonly node?: string | null;
  readonly compression?: string;
  /** Time of every file, seconds since 1970; by default SOURCE_DATE_EPOCH or the time of the last commit. */
  readonly epoch?: number;
}

/** Packs .output and returns the path of the package. */
export function packDeb(options: DebOptions): string;
