/** The reports of a writer process, one JSON line each. */
export type Store = "stream" | "postgres" | "unfenced";

export type Report =
  | { readonly node: string; readonly event: "started" }
  | { readonly node: string; readonly event: "leads"; readonly epoch: number }
  | { readonly node: string; readonly event: "lost"; readonly epoch: number; readonly reason: string }
  | { readonly node: string; readonly event: "composing"; readonly epoch: number; readonly n: number }
  | {
      readonly node: string;
      readonly event: "wrote";
      readonly store: Store;
      readonly epoch: number;
      readonly n: number;
    }
  | {
      readonly node: string;
      readonly event: "refused";
      readonly store: Store;
      readonly epoch: number;
      readonly n: number;
      readonly code: string;
      readonly message: string;
    };
