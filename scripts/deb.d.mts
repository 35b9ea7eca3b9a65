export interface DebOptions {
  /** Folder that gets the package. */
  readonly out: string;
  /** Put the Node that runs this into the package. */
  readonly withNode?: boolean;
  readonly compression?: string;
  /** Time of every file, seconds since 1970; by default SOURCE_DATE_EPOCH or the time of the last commit. */
  readonly epoch?: number;
}

/** Packs .output and returns the path of the package. */
export function packDeb(options: DebOptions): string;
