/** Terms that the record of past terms keeps by default. */
export const DEFAULT_HISTORY_TERMS = 1_000;
