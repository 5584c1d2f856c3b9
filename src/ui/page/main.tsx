/** The page: header, banners, and the view that the address names. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { announceLeaders } from "./announce.ts";
import { ClusterPage } from "./cluster-page.tsx";
import { Dialogs, helpOpen } from "./dialogs.tsx";
import { GroupPage } from "./group-page.tsx";
import { onKey } from "./keyboard.ts";
import { Overview } from "./overview.tsx";
import { Since } from "./pieces.tsx";
import { route, topicOf } from "./route.ts";
import { account, announcement, filter, follow, link, paused, togglePause } from "./store.ts";
import { theme, toggleTheme } from "./theme.ts";

function App() {
  const to = route.value;
  return (
    <>
      <button type="button" class="skip" onClick={toMain}>
        Skip to the content
      </button>
      <Header />
      <Banners />
      {to.page === "overview" && <Overview />}
      {to.page === "cluster" && <ClusterPage id={to.id} key={to.id} />}
      {to.page === "group" && <GroupPage id={to.id} key={to.id} />}
      <Dialogs />
      <p class="sr-only" role="status">
        {announcement.value}
      </p>
    </>
  );
}

/** No link: the fragment of the address is the view's. */
function toMain(): void {
  const main = document.querySelector<HTMLElement>("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}

function Header() {
  const input = useRef<HTMLInputElement>(null);
  const found = account.value;
  useEffect(() => {
    document.title = route.value.page === "overview" ? "nats-leader" : `${route.value.id} · nats-leader`;
  });
  return (
    <header class="top">
      <div class="top-inner">
        <a class="brand" href="#/" aria-label="nats-leader, overview">
          <img src="icon.svg" alt="" width="24" height="24" />
          <span>nats-leader</span>
        </a>
        <LinkState />
        {found?.server != null && (
          <span class="server dim ellipsis" title={`nats-server ${found.serverVersion ?? ""}`}>
            {found.server}
          </span>
        )}
        <span class="push" />
        <label class="filter">
          <span class="sr-only">Filter by name</span>
          <input
            ref={input}
            id="filter"
            type="search"
            placeholder="Filter"
            value={filter.value}
            onInput={(event) => {
              filter.value = event.currentTarget.value;
            }}
          />
          <span class="key" aria-hidden="true">
            /
          </span>
        </label>
        <button
          type="button"
          class="icon-button"
          aria-pressed={paused.value}
          aria-label="Pause"
          title="Pause (p)"
          onClick={togglePause}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            {paused.value ? <path d="M4 2.5v11l9-5.5z" /> : <path d="M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z" />}
          </svg>
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"}
          title="Theme (t)"
          onClick={toggleTheme}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            {theme.value === "dark" ? (
              <path d="M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM7.25 0h1.5v2.75h-1.5zM7.25 13.25h1.5V16h-1.5zM0 7.25h2.75v1.5H0zM13.25 7.25H16v1.5h-2.75zM2.1 3.2l1.1-1.1 1.9 2-1 1zM10.9 11.9l1-1 2 1.9-1.1 1.1zM11.9 5.1l-1-1 1.9-2 1.1 1.1zM2.1 12.8l2-1.9 1 1-1.9 2z" />
            ) : (
              <path d="M6.2 1.2A7 7 0 1 0 14.8 9.8 6 6 0 0 1 6.2 1.2z" />
            )}
          </svg>
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Keyboard shortcuts"
          title="Shortcuts (?)"
          onClick={() => (helpOpen.value = true)}
        >
          <span aria-hidden="true">?</span>
        </button>
      </div>
    </header>
  );
}

function LinkState() {
  const state = paused.value
    ? "paused"
    : link.value === "live" && account.value?.connected === false
      ? "out"
      : link.value;
  const text = {
    live: "live",
    paused: "paused",
    connecting: "connecting",
    lost: "reconnecting",
    out: "NATS is gone",
  }[state];
  return (
    <span class={`link link-${state}`}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

function Banners() {
  const found = account.value;
  if (link.value === "lost") {
    return (
      <p class="banner banner-bad" role="alert">
        The program that serves this page does not answer. What is shown is the last known state; the page
        tries to reconnect.
      </p>
    );
  }
  if (found !== undefined && !found.connected && found.outSince !== null) {
    return (
      <p class="banner banner-bad" role="alert">
        <strong>No connection to NATS</strong> for <Since at={found.outSince} />
        {found.problem !== null && `: ${found.problem}`}. What is shown is the last known state.
      </p>
    );
  }
  if (found?.problem != null) {
    return (
      <p class="banner banner-warn" role="alert">
        {found.problem}
      </p>
    );
  }
  return null;
}

effect(() => follow(topicOf(route.value)));
announceLeaders();
addEventListener("keydown", onKey);
const app = document.getElementById("app");
if (app !== null) render(<App />, app);
