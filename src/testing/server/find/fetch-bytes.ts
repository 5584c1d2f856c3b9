import { within } from "../run/wait.ts";

const MAX_BYTES = 200 << 20;

/** Time limits of a download. */
export interface FetchLimits {
  /** Until the response's headers have arrived, redirects included. */
  readonly headersMs: number;
  /** Until the last byte. */
  readonly totalMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Downloads a file into memory. Rejects if the status is not 200. */
export type FetchBytes = (url: string, limits: FetchLimits) => Promise<Uint8Array>;

export const fetchBytes: FetchBytes = async (url, limits) => {
  const headers = new AbortController();
  const timer = setTimeout(() => headers.abort(noAnswer(url, limits.headersMs)), limits.headersMs);
  let response: Response;
  try {
    response = await fetch(url, {
      signal: AbortSignal.any([headers.signal, within(limits.totalMs, limits.signal)]),
    });
  } finally {
    clearTimeout(timer);
  }
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`${url} is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

function noAnswer(url: string, ms: number): Error {
  return new Error(`${new URL(url).host} did not answer within ${ms} ms`);
}
