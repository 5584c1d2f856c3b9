/** One cluster: its leader, its nodes, its timeline, its past terms. */

import { LIMITS } from "../model/limits.ts";
import type { ClusterCard, NodeCard, PastView, SuspicionCard, TermCard } from "../model/types.ts";
import { DeadlineBar } from "./deadline-bar.tsx";
import { askFor } from "./dialogs.tsx";
import { duration, grouped, outcomeText, reasonText } from "./format.ts";
import { LANE_TEXT, LaneLegend, Lanes, windowOf } from "./lanes.tsx";
import {
  Cell,
  Clock,
  Crumbs,
  Empty,
  Findings,
  Pill,
  phaseOf,
  Section,
  Since,
  Table,
  WhyNotText,
} from "./pieces.tsx";
import { doctor, entity, filter, mayControl } from "./store.ts";

export function ClusterPage({ id }: { readonly id: string }) {
  const card = entity<ClusterCard>(`cluster/${id}`).value;
  const past = entity<PastView>(`cluster/${id}/past`).value;
  if (card === undefined) {
    return (
      <main id="main">
        <Crumbs kind="cluster" id={id} />
        <Empty title={`There is no cluster "${id}" on this account`}>
          <p>
            <a href="#/">All clusters and groups</a>
          </p>
        </Empty>
      </main>
    );
  }
  const wanted = filter.value.trim().toLowerCase();
  const suspecting = card.nodes.filter((node) => suspicionsOf(node) > 0);
  const nodes = card.nodes.filter((node) => node.id.toLowerCase().includes(wanted));
  const findings = (doctor.value?.findings ?? []).filter(({ subjects }) =>
    subjects.includes(`cluster/${id}`),
  );
  return (
    <main id="main">
      <Crumbs kind="cluster" id={id} />
      <Hero card={card} />
      <Section title="Timeline" note={<LaneLegend />}>
        <div class="panel">
          <Lanes nodes={nodes} windowMs={windowOf(nodes, LIMITS.timelineMs)} axis />
        </div>
      </Section>
      <Section title="Nodes" note={nodesNote(card)}>
        <NodeTable cluster={id} nodes={nodes} />
      </Section>
      <Section title="Terms" note={termsNote(past)}>
        <Terms past={past} nodes={card.nodes} />
      </Section>
      {suspecting.length > 0 && (
        <Section title="Suspicions">
          <Suspicions nodes={suspecting} seen={past?.suspicions ?? []} />
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
        {leader?.health.leastMarginMs != null && (
          <div>
            <dt>Least margin</dt>
            <dd>{duration(leader.health.leastMarginMs)}</dd>
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
          <th scope="col">NATS server</th>
          <th scope="col">Up for</th>
          {mayControl && <th scope="col">Action</th>}
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <tr key={node.id} class={node.state === "absent" ? "gone" : ""}>
            <th scope="row">
              <i class="dot" data-tint={node.tint % 12} data-hollow={node.leads ? undefined : ""} /> {node.id}
              {node.version !== null && <span class="version">{node.version}</span>}
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
              {node.health.beatRoundTripMs !== null && (
                <span class="dim">{`, beat ${node.health.beatRoundTripMs.toFixed(1)} ms`}</span>
              )}
            </Cell>
            <Cell label="NATS server">{node.health.server ?? "—"}</Cell>
            <Cell label="Up for">{node.startedAt === null ? "—" : <Since at={node.startedAt} />}</Cell>
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
  // Presence is shown only while it is missing.
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
          request: { action: "handover", cluster, node: node.id, confirm: node.id },
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
            <th scope="row" class="number" data-label="Epoch">
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

function Suspicions(props: { readonly nodes: readonly NodeCard[]; readonly seen: readonly SuspicionCard[] }) {
  return (
    <Table label="Suspicions">
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">Suspected a leader</th>
          <th scope="col">Outcomes since its start</th>
          <th scope="col">Last one seen</th>
        </tr>
      </thead>
      <tbody>
        {props.nodes.map((node) => (
          <SuspicionRow key={node.id} node={node} last={props.seen.find((one) => one.node === node.id)} />
        ))}
      </tbody>
    </Table>
  );
}

function SuspicionRow({ node, last }: { readonly node: NodeCard; readonly last: SuspicionCard | undefined }) {
  const outcomes = Object.entries(node.health.suspicions ?? {}).filter(([, many]) => many > 0);
  return (
    <tr>
      <th scope="row">
        <i class="dot" data-tint={node.tint % 12} /> {node.id}
      </th>
      <Cell label="Suspected a leader">
        {grouped(suspicionsOf(node))} {suspicionsOf(node) === 1 ? "time" : "times"}
      </Cell>
      <Cell label="Outcomes">
        {outcomes.map(([outcome, many]) => `${many} × ${outcomeText(outcome)}`).join(", ")}
      </Cell>
      <Cell label="Last one seen">
        {last === undefined ? (
          "—"
        ) : (
          <>
            <Clock at={last.at} /> <span class="dim">{outcomeText(last.outcome)}</span>
          </>
        )}
      </Cell>
    </tr>
  );
}

function suspicionsOf({ health }: NodeCard): number {
  return Object.values(health.suspicions ?? {}).reduce((sum, many) => sum + many, 0);
}
