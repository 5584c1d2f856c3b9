/** One cluster: its leader, its nodes, its timeline, its past terms. */
import type { ClusterCard, NodeCard, PastView, SuspicionCard, TermCard } from "../model/types.ts";
import { DeadlineBar } from "./deadline-bar.tsx";
import { askFor } from "./dialogs.tsx";
import { duration, grouped, reasonText } from "./format.ts";
import { LANE_TEXT, LaneLegend, Lanes, windowOf } from "./lanes.tsx";
import { Cell, Clock, Empty, Findings, Pill, phaseOf, Section, Since, Table, WhyNotText } from "./pieces.tsx";
import { doctor, entity, filter, mayControl } from "./store.ts";

const WINDOW_MS = 15 * 60_000;

export function ClusterPage({ id }: { readonly id: string }) {
  const card = entity<ClusterCard>(`cluster/${id}`).value;
  const past = entity<PastView>(`cluster/${id}/past`).value;
  if (card === undefined) {
    return (
      <main id="main">
        <Crumbs id={id} />
        <Empty title={`There is no cluster "${id}" on this account`}>
          <p>
            <a href="#/">All clusters and groups</a>
          </p>
        </Empty>
      </main>
    );
  }
  const wanted = filter.value.trim().toLowerCase();
  const nodes = card.nodes.filter((node) => node.id.toLowerCase().includes(wanted));
  const findings = (doctor.value?.findings ?? []).filter(({ subjects }) =>
    subjects.includes(`cluster/${id}`),
  );
  return (
    <main id="main">
      <Crumbs id={id} />
      <Hero card={card} />
      <Section title="Timeline" note={<LaneLegend />}>
        <div class="panel">
          <Lanes nodes={nodes} windowMs={windowOf(nodes, WINDOW_MS)} axis />
        </div>
      </Section>
      <Section title="Nodes" note={nodesNote(card)}>
        <NodeTable cluster={id} nodes={nodes} />
      </Section>
      <Section title="Terms" note={termsNote(past)}>
        <Terms past={past} nodes={card.nodes} />
      </Section>
      {past !== undefined && past.suspicions.length > 0 && (
        <Section title="Suspicions">
          <Suspicions suspicions={past.suspicions} />
        </Section>
      )}
      {findings.length > 0 && (
        <Section title="Findings">
          <Findings findings={findings} />
        </Section>
      )}
    </main>
  );
}

function Crumbs({ id }: { readonly id: string }) {
  return (
    <nav class="crumbs" aria-label="Place">
      <a href="#/">All</a>
      <span aria-hidden="true">/</span>
      <h1>
        <span class="dim">cluster</span> {id}
      </h1>
    </nav>
  );
}

function nodesNote(card: ClusterCard) {
  if (card.nodesProblem !== null)
    return <span class="bad-text">{`the nodes cannot be asked: ${card.nodesProblem}`}</span>;
  if (card.nodesLeftOut > 0)
    return <span class="warn-text">{`${card.nodesLeftOut} more nodes are not shown`}</span>;
  return card.asked ? undefined : "asking";
}

function termsNote(past: PastView | undefined) {
  if (past?.recorded === false) return "not recorded by the nodes: only what was seen from here";
  return past?.truncated === true ? "the latest ones" : undefined;
}

function Hero({ card }: { readonly card: ClusterCard }) {
  const phase = phaseOf(card);
  const leader = card.nodes.find(({ leads }) => leads);
  return (
    <div class={`panel hero card-${phase.tone}`}>
      <div class="hero-main" key={`${card.leader} ${card.epoch}`}>
        <p class="hero-label">
          Leader <Pill tone={phase.tone}>{phase.text}</Pill>
        </p>
        <p class="hero-leader">
          {leader !== undefined && <i class="dot dot-huge" data-tint={leader.tint % 12} />}
          <span class="ellipsis" data-leader>
            {card.leader ?? "none"}
          </span>
        </p>
        {card.problem !== null && <p class="bad-text">{card.problem}</p>}
        {card.phase === "released" && card.successor !== null && (
          <p class="dim">{`handed over to ${card.successor}`}</p>
        )}
      </div>
      <dl class="facts">
        <div>
          <dt>Epoch</dt>
          <dd>{grouped(card.epoch)}</dd>
        </div>
        <div>
          <dt>{card.since === null ? "For" : "Leads for"}</dt>
          <dd>
            {card.since !== null ? (
              <Since at={card.since} />
            ) : card.phaseSince !== null ? (
              <Since at={card.phaseSince} />
            ) : (
              "—"
            )}
          </dd>
        </div>
        <div>
          <dt>Replaced after silence of</dt>
          <dd>{card.silenceMs === null ? "no promise" : duration(card.silenceMs)}</dd>
        </div>
        {leader?.facts.marginMs != null && (
          <div>
            <dt>Least margin</dt>
            <dd>{duration(leader.facts.marginMs)}</dd>
          </div>
        )}
      </dl>
      <div class="hero-deadline">
        <DeadlineBar id={card.id} />
      </div>
      {mayControl && leader !== undefined && (
        <div class="actions">
          <button
            type="button"
            class="danger"
            onClick={() =>
              askFor({
                title: `Make ${leader.id} step down`,
                text: "Its work ends, it releases its lease, and another node that competes leads next.",
                button: "Step down",
                request: { action: "step-down", cluster: card.id, node: leader.id, confirm: leader.id },
              })
            }
          >
            Step down…
          </button>
        </div>
      )}
    </div>
  );
}

function NodeTable({ cluster, nodes }: { readonly cluster: string; readonly nodes: readonly NodeCard[] }) {
  if (nodes.length === 0) return <Empty title="No node to show" />;
  return (
    <Table label="Nodes">
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">State</th>
          <th scope="col">Can lead</th>
          <th scope="col">Crash detection</th>
          <th scope="col" class="number">
            Round trip
          </th>
          <th scope="col">Up for</th>
          <th scope="col">Version</th>
          {mayControl && <th scope="col">Action</th>}
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <tr key={node.id} class={node.state === "absent" ? "gone" : ""}>
            <th scope="row">
              <i class="dot" data-tint={node.tint % 12} data-hollow={node.leads ? undefined : ""} /> {node.id}
              {node.shared && <span class="bad-text"> (two processes)</span>}
            </th>
            <Cell label="State">
              <StatePill node={node} />
            </Cell>
            <Cell label="Can lead">
              <WhyNotText node={node} />
            </Cell>
            <Cell label="Crash detection">
              <Detection node={node} />
            </Cell>
            <Cell label="Round trip" number>
              {node.roundTripMs === null ? "—" : `${node.roundTripMs.toFixed(1)} ms`}
            </Cell>
            <Cell label="Up for">{node.startedAt === null ? "—" : <Since at={node.startedAt} />}</Cell>
            <Cell label="Version">{node.version ?? "—"}</Cell>
            {mayControl && (
              <Cell label="Action">
                <HandOver cluster={cluster} node={node} />
              </Cell>
            )}
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function StatePill({ node }: { readonly node: NodeCard }) {
  const tone =
    node.state === "leading"
      ? "good"
      : node.state === "suspended" || node.state === "draining"
        ? "warn"
        : node.state === "absent" || node.state === "silent"
          ? "bad"
          : "plain";
  return (
    <>
      <Pill tone={tone}>{LANE_TEXT[node.state]}</Pill>{" "}
      <span class="dim">
        <Since at={node.stateSince} />
      </span>
    </>
  );
}

function Detection({ node }: { readonly node: NodeCard }) {
  const { crashDetection, presence, silenceMs } = node;
  if (crashDetection === null) return <>—</>;
  const silence = silenceMs !== null && silenceMs > 0 ? `silence ${duration(silenceMs)}` : "no silence";
  // With "presence" it is only said if it is missing.
  const missing = presence !== "on" && node.whyNot !== "observer";
  return (
    <>
      {crashDetection} <span class="dim">{silence}</span>
      {missing && <span class="warn-text">{`, presence ${presence ?? "unknown"}`}</span>}
    </>
  );
}

function HandOver({ cluster, node }: { readonly cluster: string; readonly node: NodeCard }) {
  if (node.state !== "following") return null;
  return (
    <button
      type="button"
      onClick={() =>
        askFor({
          title: `Hand over to ${node.id}`,
          text: "The leader steps down in favour of this node.",
          button: "Hand over",
          request: { action: "hand-over", cluster, node: node.id, confirm: node.id },
        })
      }
    >
      Hand over…
    </button>
  );
}

function Terms({
  past,
  nodes,
}: {
  readonly past: PastView | undefined;
  readonly nodes: readonly NodeCard[];
}) {
  if (past === undefined || past.terms.length === 0) return <Empty title="No term is known yet" />;
  const tints = new Map(nodes.map(({ id, tint }) => [id, tint % 12]));
  // A node that is not shown any more has no colour.
  const tintOf = (id: string): number | "none" => tints.get(id) ?? "none";
  return (
    <Table label="Terms">
      <thead>
        <tr>
          <th scope="col" class="number">
            Epoch
          </th>
          <th scope="col">Leader</th>
          <th scope="col">Began</th>
          <th scope="col">Lasted</th>
          <th scope="col">Ended because</th>
          <th scope="col" class="number">
            Vacancy before it
          </th>
        </tr>
      </thead>
      <tbody>
        {past.terms.map((term) => (
          <tr key={term.epoch}>
            <th scope="row" class="number">
              {grouped(term.epoch)}
            </th>
            <Cell label="Leader">
              <i class="dot" data-tint={tintOf(term.node)} /> {term.node}
            </Cell>
            <Cell label="Began">{term.from === null ? "—" : <Clock at={term.from} />}</Cell>
            <Cell label="Lasted">{lasted(term)}</Cell>
            <Cell label="Ended because">{endText(term)}</Cell>
            <Cell label="Vacancy" number>
              {term.vacancyMs === null
                ? "—"
                : `${term.vacancyAtMost ? "at most " : ""}${duration(term.vacancyMs)}`}
            </Cell>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function lasted({ from, until, why }: TermCard) {
  if (from === null) return "—";
  if (until !== null) return duration(until - from);
  return why === null ? <Since at={from} /> : "—";
}

function endText({ why, to }: TermCard) {
  if (why === null) return <Pill tone="good">runs</Pill>;
  return to === null ? reasonText(why) : `${reasonText(why)}, handed over to ${to}`;
}

function Suspicions({ suspicions }: { readonly suspicions: readonly SuspicionCard[] }) {
  return (
    <Table label="Suspicions">
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Node</th>
          <th scope="col">Suspected</th>
          <th scope="col">Outcome</th>
        </tr>
      </thead>
      <tbody>
        {suspicions.map(({ at, node, of, outcome }) => (
          <tr key={`${at} ${node}`}>
            <Cell label="Time">
              <Clock at={at} />
            </Cell>
            <Cell label="Node">{node}</Cell>
            <Cell label="Suspected">{of ?? "—"}</Cell>
            <Cell label="Outcome">{outcome}</Cell>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}
