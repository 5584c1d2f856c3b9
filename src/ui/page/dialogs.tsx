/** The dialogs: the list of shortcuts, and the confirmation of an action. */
import { type Signal, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ControlAnswer, ControlRequest } from "../model/types.ts";
import { control } from "./store.ts";

export const helpOpen: Signal<boolean> = signal(false);

export interface Action {
  readonly title: string;
  readonly text: string;
  readonly button: string;
  readonly request: ControlRequest;
}

const action: Signal<Action | null> = signal(null);

/** Asks to type the name, then sends the request. */
export function askFor(wanted: Action): void {
  action.value = wanted;
}

export const SHORTCUTS: ReadonlyArray<readonly [key: string, what: string]> = [
  ["/", "filter"],
  ["j, k", "next, previous card"],
  ["Enter", "open the card"],
  ["o", "overview"],
  ["p", "pause, and go on"],
  ["t", "dark, light"],
  ["Arrows", "move in the grid of a group"],
  ["?", "this list"],
  ["Esc", "close, clear the filter, back"],
];

export function Dialogs() {
  return (
    <>
      {helpOpen.value && (
        <Modal title="Keyboard" onClose={() => (helpOpen.value = false)}>
          <dl class="shortcuts">
            {SHORTCUTS.map(([key, what]) => (
              <div key={key}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Modal>
      )}
      {action.value !== null && <Confirm wanted={action.value} />}
    </>
  );
}

function Modal(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={props.onClose}>
      <header class="dialog-head">
        <h2 id="dialog-title">{props.title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
          ✕
        </button>
      </header>
      {props.children}
    </dialog>
  );
}

function Confirm({ wanted }: { readonly wanted: Action }) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState<ControlAnswer | null>(null);
  const name = wanted.request.confirm;
  const close = (): void => {
    action.value = null;
  };
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (typed !== name || busy) return;
    setBusy(true);
    setAnswer(await control({ ...wanted.request, confirm: typed }));
    setBusy(false);
  };
  return (
    <Modal title={wanted.title} onClose={close}>
      <form class="confirm" onSubmit={(event) => void send(event)}>
        <p>{wanted.text}</p>
        <label>
          <span>
            Type <strong>{name}</strong> to confirm
          </span>
          <input
            value={typed}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        {answer !== null && (
          <p role="status" class={answer.ok ? "good-text" : "bad-text"}>
            {answer.ok ? answer.text : answer.error}
          </p>
        )}
        <div class="dialog-actions">
          <button type="button" onClick={close}>
            {answer?.ok === true ? "Close" : "Cancel"}
          </button>
          {answer?.ok !== true && (
            <button type="submit" class="danger" disabled={typed !== name || busy}>
              {busy ? "Working…" : wanted.button}
            </button>
          )}
        </div>
      </form>
    </Modal>
  );
}
