/** Dark or light: as the system, or as chosen. */
import { type Signal, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const KEY = "nats-leader-theme";
const system = matchMedia("(prefers-color-scheme: light)");

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : null;
  } catch {
    // Storage may be switched off.
    return null;
  }
}

function systemTheme(): Theme {
  return system.matches ? "light" : "dark";
}

export const theme: Signal<Theme> = signal(stored() ?? systemTheme());

function apply(): void {
  document.documentElement.dataset["theme"] = theme.value;
}

system.addEventListener("change", () => {
  if (stored() !== null) return;
  theme.value = systemTheme();
  apply();
});

export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  try {
    // The choice of the system is followed again.
    if (theme.value === systemTheme()) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme.value);
  } catch {
    // It then lasts until the page is loaded again.
  }
  apply();
}

/** Motion that goes on by itself is left out for those who asked for that. */
export const calm: MediaQueryList = matchMedia("(prefers-reduced-motion: reduce)");

apply();
