/** The shortcuts (`SHORTCUTS` in dialogs.tsx lists them). */
import { helpOpen } from "./dialogs.tsx";
import { filter, togglePause } from "./store.ts";
import { toggleTheme } from "./theme.ts";

export function onKey(event: KeyboardEvent): void {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null)
    return;
  const typing = target instanceof HTMLInputElement;
  if (key === "Escape") return stepBack(typing ? target : null);
  if (typing) return;
  switch (key) {
    case "/":
      event.preventDefault();
      document.getElementById("filter")?.focus();
      break;
    case "j":
      focusCard(1);
      break;
    case "k":
      focusCard(-1);
      break;
    case "o":
      location.hash = "#/";
      break;
    case "p":
      togglePause();
      break;
    case "t":
      toggleTheme();
      break;
    case "?":
      helpOpen.value = true;
      break;
    default:
  }
}

function stepBack(input: HTMLInputElement | null): void {
  if (filter.value !== "") filter.value = "";
  else if (input !== null) input.blur();
  else location.hash = "#/";
}

function focusCard(step: number): void {
  const cards = [...document.querySelectorAll<HTMLElement>("a.card")];
  const at = cards.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (step > 0 ? 0 : cards.length - 1) : at + step;
  cards[Math.max(0, Math.min(cards.length - 1, next))]?.focus();
}
