/*
 * Silence: a follower replaces a holder's revision before W, because the server that holds its connection has processed nothing of it.
 *
 * silence.md beside this file states the rules, 1 to 10, and maps the steps to them. Bounds, modes and faults are macros:
 * -DSILENCE=3 -DWAIT=4, -DPRESENCE=1, -DBUG_NO_LATCH, -DPROBE_RESUME.
 *
 * There is one holder. Its lease never runs out, and a follower acts from the application of its write on: both are worse than the
 * truth. Nothing is urgent: each message, answer, count and step of a process may come at any later time, or never. So a frozen process, a
 * frozen server, a late event loop and a backlog in either direction need no steps of their own. Only clocks are bounded.
 *
 * Time advances in ticks. There are no clock values, only the ticks that remain until something is F old by the holder's clock, or of a
 * wait by a follower's clock. The holder has the slow clock: it may miss one tick of every SLIP_EVERY.
 */

/* ------------------------------------------------------------------------------------------------ bounds */
/* F and the wait between an answer and the next question (rule 8), in ticks. */
#ifndef SILENCE
#define SILENCE 2
#endif
#ifndef WAIT
#define WAIT (SILENCE + 1)
#endif
#ifndef SLIP_EVERY
#define SLIP_EVERY 3
#endif
/* Revisions of the holder. */
#ifndef REVISIONS
#define REVISIONS 2
#endif
/* Connections of the holder, one after the other. */
#ifndef CONNECTIONS
#define CONNECTIONS 1
#endif
/* Messages under way in each direction of a connection. */
#ifndef DEPTH
#define DEPTH 2
#endif
#ifndef FOLLOWERS
#define FOLLOWERS 1
#endif
/* 1: the holder begins with an acquire; 0: it has acquired revision 1. */
#ifndef CAMPAIGN
#define CAMPAIGN 0
#endif
/* crashDetection of all nodes: 1 presence, 0 silence */
#ifndef PRESENCE
#define PRESENCE 0
#endif
/* B, in ticks: with presence a held term needs an echo of a beat that was sent within B. */
#ifndef EVIDENCE
#define EVIDENCE SILENCE
#endif
/* Whole ticks for which the holder may act after it was replaced. */
#ifndef OVERLAP
#define OVERLAP 0
#endif
/* The server may close a connection. */
#ifndef CLOSES
#define CLOSES (PRESENCE || CONNECTIONS > 1)
#endif
/* Ticks for which a message that was processed may stay uncounted; 255: no bound. */
#ifndef LAG
#define LAG 255
#endif
#ifndef DRAINS
#define DRAINS 0
#endif
/* Answers that call an open connection closed. */
#ifndef WRONG
#define WRONG 0
#endif
/* Does the first record promise? GAINS: later ones do. DROPS: the holder may stop to promise. */
#ifndef PROMISES
#define PROMISES 1
#endif
#ifndef GAINS
#define GAINS 0
#endif
#ifndef DROPS
#define DROPS 0
#endif

#ifdef BUG_NO_MARGIN
#undef WAIT
#define WAIT SILENCE
#endif
#ifdef BUG_OWN_SILENCE
/* The follower's own F is one tick shorter than the one in the record. */
#undef WAIT
#define WAIT (SILENCE - 1 + 1)
#endif

/* ------------------------------------------------------------------------------------------------ the bucket */
byte last = 1 - CAMPAIGN;         /* the key's last revision that is the holder's */
byte named[REVISIONS + 1];        /* the connection that each revision names */
bit promised[REVISIONS + 1];      /* does it promise (rule 5)? */
bit replaced;                     /* a follower's write was applied over the last one */

/* ------------------------------------------------------------------------------------------------ the holder's connections */
/* Message.kind. PLAIN: it only counts. */
#define NOTHING 0
#define BEAT 1
#define WRITE 2
#define PLAIN 3

typedef Message {
  byte kind;
  byte left;      /* until its send is F ago, by the holder's clock */
  byte proves;    /* the same of the beat that its echo proves (rule 2) */
};
/* To the server, first in first out: connection k + 1 has DEPTH of them. */
#define SENT_ON(k, j) toServer[(k) * DEPTH + (j)]
Message toServer[CONNECTIONS * DEPTH];
byte unread[CONNECTIONS];         /* how many there are */
byte buffer[CONNECTIONS];         /* so many of them are in the server's read buffer */
bit uncounted[CONNECTIONS];       /* in_msgs lacks what was processed of this buffer */
bit open[CONNECTIONS];            /* what the server answers about it */
#if LAG < 255
byte lag[CONNECTIONS];
#endif
/* Echoes to the holder, on its present connection. */
Message echo[DEPTH];
byte echoes;

/* ------------------------------------------------------------------------------------------------ writes under way */
/* Write.net. SENT: it has left the connection, on its way to the stream. A write that can only be refused is settled at once. */
#define FREE 0
#define QUEUED 1
#define SENT 2
#define APPLIED 3

typedef Write {
  byte net;
  byte session;   /* the connection that it was sent on and names */
  bit inStretch;  /* the stretch in which it was sent still runs */
  bit promises;
};
/* The older one comes first. */
Write w[2];

/* ------------------------------------------------------------------------------------------------ the holder */
/* role */
#define OUT 0
#define CAMPAIGNING 1
#define LEADER 2
#define SUSPENDED 3
#define DRAINING 4

byte role = (CAMPAIGN -> CAMPAIGNING : LEADER);
byte conn = 1;                    /* the present connection; 0: none */
byte conns = 1;                   /* connections so far */
byte stretch = (CAMPAIGN -> 0 : SILENCE);  /* what is left of the stretch; 0: none runs */
byte heard;                       /* until the newest beat whose echo has arrived was sent F ago */
bit behind;                       /* its last revision was applied, and it does not know */
bit wants = (PROMISES || GAINS);  /* its next write promises */
bit unbound = !PROMISES;             /* its newest revision known to be applied does not promise */
bit vowed;                        /* a write that promises was sent since */
bit orderly;                      /* ghost: it was held when draining began, and has not fallen since */
byte drains;

/* ------------------------------------------------------------------------------------------------ a follower */
/* phase of its inquiry about the revision seen */
#define IDLE 0
#define ASKED 1
#define ANSWERED 2
#define WAITING 3
#define ASKED_AGAIN 4
#define ANSWERED_AGAIN 5
#define CONFIRMED 6
#define WRITING 7

byte seen[FOLLOWERS];             /* the revision received last */
byte phase[FOLLOWERS];
bit closed[FOLLOWERS];            /* the first answer: the connection is closed */
bit doubted[FOLLOWERS];           /* "closed" was said once, and is asked about again */
bit moved[FOLLOWERS];             /* in_msgs has changed, or the connection was closed, since the first answer */
byte wait[FOLLOWERS];
byte wrong;
byte slip;
byte overlap;                     /* ghost: whole ticks for which two acted */
#ifdef BUG_IDLE_TIME
byte idle;                        /* since the server's last_activity of the connection, by its wall clock */
bit stepped;
#endif

/* ------------------------------------------------------------------------------------------------ words */
/* Rule 5: bound from the send of the first write that promises, until one without a promise is known to be applied. */
#ifdef BUG_PROMISE_BINDS_FROM_ACK
#define BOUND (!unbound)
#elif defined(BUG_PROMISE_ENDS_AT_SEND)
#define BOUND wants
#else
#define BOUND (!unbound || vowed)
#endif
/* The table of modes: with presence a held term needs recent evidence, too. */
#define EVIDENT (EVIDENCE == SILENCE || heard > SILENCE - EVIDENCE)
/* Rule 3. */
#define HELD (role == LEADER && (!BOUND || (stretch > 0 && EVIDENT)))
/* Held, or draining in good order. */
#define ACTS (HELD || (role == DRAINING && orderly))
/* The connection that a follower asks about. */
#define ASKED_ABOUT(i) named[seen[i]]

/* The end of every step. */
inline rest() {
#if OVERLAP == 0
  assert(!(replaced && ACTS))
#else
  skip
#endif
}

/* ------------------------------------------------------------------------------------------------ messages */
inline put(k, what, ticks, proof) {
  SENT_ON(k, unread[k]).kind = what; SENT_ON(k, unread[k]).left = ticks; SENT_ON(k, unread[k]).proves = proof;
  unread[k]++
}

inline take(k) {
  j = 0;
  do
  :: j < DEPTH - 1 ->
    SENT_ON(k, j).kind = SENT_ON(k, j + 1).kind; SENT_ON(k, j).left = SENT_ON(k, j + 1).left;
    SENT_ON(k, j).proves = SENT_ON(k, j + 1).proves; j++
  :: else -> break
  od;
  SENT_ON(k, DEPTH - 1).kind = NOTHING; SENT_ON(k, DEPTH - 1).left = 0; SENT_ON(k, DEPTH - 1).proves = 0;
  unread[k]--; j = 0
}

inline take_echo() {
  j = 0;
  do
  :: j < DEPTH - 1 -> echo[j].left = echo[j + 1].left; echo[j].proves = echo[j + 1].proves; j++
  :: else -> break
  od;
  echo[DEPTH - 1].left = 0; echo[DEPTH - 1].proves = 0;
  echoes--; j = 0
}

/* Variables that can have no effect any more get one value, so that equal states are equal: a beat that is not newer than what was
   heard, and a proof that does not lengthen the stretch. */
inline tidy_message(m) {
#ifndef BUG_DEADLINE_FROM_ECHO
  if
  :: m.left <= heard -> m.left = 0
  :: else
  fi;
  if
  :: m.proves <= stretch -> m.proves = 0
  :: else
  fi
#else
  skip
#endif
}

inline tidy() {
  j = 0;
  do
  :: j < CONNECTIONS * DEPTH -> tidy_message(toServer[j]); j++
  :: else -> break
  od;
  j = 0;
  do
  :: j < DEPTH -> tidy_message(echo[j]); j++
  :: else -> break
  od;
#ifndef BUG_DEADLINE_FROM_ECHO
  do
  :: echoes > 0 && echo[0].left == 0 && echo[0].proves == 0 -> take_echo()
  :: else -> break
  od;
#endif
  j = 0
}

/* ------------------------------------------------------------------------------------------------ writes */
inline settle(q) {
  if
  :: (q) == 0 ->
    w[0].net = w[1].net; w[0].session = w[1].session; w[0].inStretch = w[1].inStretch; w[0].promises = w[1].promises
  :: else
  fi;
  w[1].net = FREE; w[1].session = 0; w[1].inStretch = 0; w[1].promises = 0
}

/* The key has another revision now: what is under way can only be refused. */
inline refuse_all() {
  j = 0;
  do
  :: j < CONNECTIONS * DEPTH ->
    if
    :: toServer[j].kind == WRITE -> toServer[j].kind = PLAIN
    :: else
    fi;
    j++
  :: else -> break
  od;
  j = 0;
  if
  :: w[1].net == QUEUED || w[1].net == SENT -> settle(1)
  :: else
  fi;
  if
  :: w[0].net == QUEUED || w[0].net == SENT -> settle(0)
  :: else
  fi;
  j = 0;
  do
  :: j < FOLLOWERS ->
    if
    :: phase[j] == WRITING -> phase[j] = IDLE
    :: else
    fi;
    j++
  :: else -> break
  od;
  j = 0
}

/* Rules 1 and 3: the send of a write begins a stretch where none runs. */
inline send_write() {
  if
  :: open[conn - 1] && !behind && !replaced ->
    if
    :: w[0].net == FREE ->
      w[0].net = QUEUED; w[0].session = conn; w[0].inStretch = 1; w[0].promises = wants
    :: else ->
      w[1].net = QUEUED; w[1].session = conn; w[1].inStretch = 1; w[1].promises = wants
    fi;
    put(conn - 1, WRITE, 0, 0)
  :: else  /* it is lost, or refused */
  fi;
  if
  :: wants -> vowed = 1
  :: else
  fi;
#ifdef BUG_EVERY_WRITE_LENGTHENS
  stretch = SILENCE
#elif !defined(BUG_STRETCH_FROM_ACK)
  if
  :: stretch == 0 -> stretch = SILENCE
  :: else
  fi
#endif
}

/* Rule 4: does the write q, which is known to be applied, make the term held? */
#ifdef BUG_ANY_CONNECTION_LIFTS
#define ITS_CONNECTION(q) true
#else
#define ITS_CONNECTION(q) (w[q].session == conn)
#endif
#ifdef BUG_OLD_STRETCH_LIFTS
#define ITS_STRETCH(q) true
#elif defined(BUG_OLD_STRETCH_BEGINS)
#define ITS_STRETCH(q) (w[q].inStretch || !w[q].promises || (role == CAMPAIGNING && stretch > 0))
#else
#define ITS_STRETCH(q) (w[q].inStretch || !w[q].promises)
#endif

#define LIFTS(q) ((role == SUSPENDED || role == CAMPAIGNING) && ITS_CONNECTION(q) && ITS_STRETCH(q))

inline probe_lift(q) {
#ifdef PROBE_BEGIN
  if
  :: role == CAMPAIGNING -> assert(false)
  :: else
  fi;
#endif
#ifdef PROBE_RESUME
  if
  :: role == SUSPENDED -> assert(false)
  :: else
  fi;
#endif
  skip
}

inline on_applied(q) {
  behind = 0; vowed = 0; unbound = !w[q].promises;
#ifdef BUG_STRETCH_FROM_ACK
  if
  :: role == LEADER || LIFTS(q) -> stretch = SILENCE
  :: else
  fi;
#endif
  if
  :: LIFTS(q) ->
#ifdef PROBES
    probe_lift(q);
#endif
    role = LEADER;
#ifdef BUG_OLD_STRETCH_LIFTS
    if
    :: stretch == 0 -> stretch = SILENCE
    :: else
    fi;
#endif
    /* The ack of a write is evidence of the connection as of its send; the stretch began no later. */
    if
    :: heard < stretch -> heard = stretch
    :: else
    fi
  :: else
  fi;
  settle(q)
}

/* ------------------------------------------------------------------------------------------------ the stretch */
/* Rule 3: it has ended, for good, whatever the role. */
inline fall() {
  stretch = 0;
  if
#ifndef BUG_NO_LATCH
  :: role == LEADER && BOUND -> role = SUSPENDED;
#ifdef BUG_FALL_ONLY_WHILE_LEADING
    w[0].inStretch = 0; w[1].inStretch = 0
#endif
#endif
#ifndef BUG_DRAIN_OUTLIVES_STRETCH
  :: role == DRAINING && BOUND -> orderly = 0
#endif
  :: else
  fi;
#ifndef BUG_FALL_ONLY_WHILE_LEADING
  w[0].inStretch = 0; w[1].inStretch = 0;
#endif
#ifndef BUG_NO_LATCH
  /* A later stretch is longer than what could be proven in this one. */
  j = 0;
  do
  :: j < CONNECTIONS * DEPTH -> toServer[j].proves = 0; j++
  :: else -> break
  od;
  j = 0;
  do
  :: j < DEPTH -> echo[j].proves = 0; j++
  :: else -> break
  od;
  j = 0
#endif
}

/* Its connection has ended. Rule 2: what was sent on it proves nothing on the next. */
inline leave() {
  stretch = 0; heard = 0;
  do
  :: echoes > 0 -> take_echo()
  :: else -> break
  od;
  if
  :: role == LEADER && (BOUND || PRESENCE) -> role = SUSPENDED
  :: else
  fi;
  orderly = 0;
#ifndef BUG_ANY_CONNECTION_LIFTS
  w[0].inStretch = 0; w[1].inStretch = 0;
#endif
#ifndef SPARE_OTHER_ECHOES
  j = 0;
  do
  :: j < CONNECTIONS * DEPTH -> toServer[j].left = 0; toServer[j].proves = 0; j++
  :: else -> break
  od;
  j = 0;
#endif
  conn = 0
}

/* Rule 2: an echo counts as of the send of its beat, and proves the beat before. */
inline on_echo() {
#ifdef BUG_DEADLINE_FROM_ECHO
  echo[0].left = SILENCE; echo[0].proves = SILENCE;
#endif
#ifdef BUG_NO_LATCH
  if
  :: echo[0].proves > stretch -> stretch = echo[0].proves
  :: else
  fi;
#elif defined(BUG_NO_PAIRS)
  if
  :: stretch > 0 && echo[0].left > stretch -> stretch = echo[0].left
  :: else
  fi;
#else
  if
  :: stretch > 0 && echo[0].proves > stretch ->
    stretch = echo[0].proves;
#ifdef PROBE_PROVEN
    assert(false)
#endif
  :: else
  fi;
#endif
  if
  :: echo[0].left > heard -> heard = echo[0].left
  :: else
  fi;
  take_echo()
}

proctype Holder() {
  byte j;
  do
  :: d_step { /* a beat (rule 1) */
      role != OUT && conn != 0 && open[conn - 1] && unread[conn - 1] < DEPTH &&
        /* One that cannot count any more, or repeats the last one, would only prevent a confirmation. */
        (heard < SILENCE || stretch < SILENCE) &&
        !(unread[conn - 1] > 0 && SENT_ON(conn - 1, unread[conn - 1] - 1).kind == BEAT &&
          SENT_ON(conn - 1, unread[conn - 1] - 1).left == SILENCE && SENT_ON(conn - 1, unread[conn - 1] - 1).proves == heard) ->
      put(conn - 1, BEAT, SILENCE, heard); tidy(); rest()
    }
  :: d_step { /* a write is sent: acquire or renewal (rules 3, 5) */
      role != OUT && conn != 0 && w[1].net == FREE && last < REVISIONS && unread[conn - 1] < DEPTH ->
      send_write(); tidy(); rest()
    }
  :: d_step { /* a write is known to be applied: by its ack or by a read (rule 4) */
      role != OUT && conn != 0 && w[0].net == APPLIED -> on_applied(0); tidy(); rest()
    }
  :: d_step { /* an echo arrives (rule 2) */
      role != OUT && conn != 0 && echoes > 0 -> on_echo(); tidy(); rest()
    }
  :: d_step { /* the connection is found to be gone, or is given up (rule 3) */
      role != OUT && conn != 0 && conns < CONNECTIONS -> leave(); tidy(); rest()
    }
  :: d_step { /* the next connection */
      role != OUT && conn == 0 -> conns++; conn = conns; open[conn - 1] = 1; rest()
    }
#if DRAINS > 0
  :: d_step { /* drain */
      (role == LEADER || role == SUSPENDED) && drains < DRAINS -> drains++; orderly = HELD; role = DRAINING; rest()
    }
  :: d_step { /* work has stopped */
      role == DRAINING -> role = OUT; orderly = 0; rest()
    }
#endif
#if DROPS > 0
  :: d_step { /* later writes do not promise (rule 5) */
      role != OUT && wants -> wants = 0; rest()
    }
#endif
  od
}

/* ------------------------------------------------------------------------------------------------ the holder's server */
inline note_moved(k) {
  j = 0;
  do
  :: j < FOLLOWERS ->
    if
    :: phase[j] >= ANSWERED && phase[j] <= ASKED_AGAIN && ASKED_ABOUT(j) == (k) + 1 && !closed[j] -> moved[j] = 1
    :: else
    fi;
    j++
  :: else -> break
  od;
  j = 0
}

/* An echo goes to the holder's subscription, which is on its present connection. */
inline process(k) {
  if
#ifdef SPARE_OTHER_ECHOES
  :: SENT_ON(k, 0).kind == BEAT && conn != 0 && open[conn - 1] && echoes < DEPTH ->
#else
  :: SENT_ON(k, 0).kind == BEAT && conn == (k) + 1 && echoes < DEPTH ->
#endif
    echo[echoes].left = SENT_ON(k, 0).left; echo[echoes].proves = SENT_ON(k, 0).proves; echoes++
  :: SENT_ON(k, 0).kind == WRITE ->
    if
    :: w[0].net == QUEUED && w[0].session == (k) + 1 -> w[0].net = SENT
    :: else -> w[1].net = SENT
    fi
  :: else
  fi;
  take(k);
  buffer[k]--; uncounted[k] = 1
}

inline count(k) {
  uncounted[k] = 0; note_moved(k);
#if LAG < 255
  lag[k] = 0;
#endif
#ifdef BUG_IDLE_TIME
  idle = 0
#endif
}

inline close(k) {
  note_moved(k);
  open[k] = 0;
  if
  :: w[1].net == QUEUED && w[1].session == (k) + 1 -> settle(1)
  :: else
  fi;
  if
  :: w[0].net == QUEUED && w[0].session == (k) + 1 -> settle(0)
  :: else
  fi;
  do
  :: unread[k] > 0 -> take(k)
  :: else -> break
  od;
  buffer[k] = 0; uncounted[k] = 0;
#if LAG < 255
  lag[k] = 0
#endif
}

proctype Server(byte k) {
  byte j;
  do
  :: d_step { /* reads one message from a connection */
      open[k] && buffer[k] == 0 && !uncounted[k] && unread[k] > 0 -> buffer[k] = 1
    }
  :: d_step { /* reads two messages from a connection */
      open[k] && buffer[k] == 0 && !uncounted[k] && unread[k] > 1 -> buffer[k] = 2
    }
  :: d_step { /* processes one message of its read buffer */
      open[k] && buffer[k] > 0 -> process(k); tidy()
    }
  :: d_step { /* in_msgs is raised, after the whole buffer */
      open[k] && buffer[k] == 0 && uncounted[k] -> count(k)
    }
#if CLOSES
  :: d_step { /* closes a connection */
      open[k] -> close(k)
    }
#endif
  od
}

/* ------------------------------------------------------------------------------------------------ the stream */
inline apply(q) {
  last++; named[last] = w[q].session; promised[last] = w[q].promises; w[q].net = APPLIED; behind = 1;
  refuse_all()
}

proctype Stream() {
  byte j;
  do
  :: d_step { /* the holder's older write is applied */
      w[0].net == SENT && last < REVISIONS -> apply(0)
    }
  :: d_step { /* the holder's newer write is applied */
      w[1].net == SENT && last < REVISIONS -> apply(1)
    }
  :: d_step { /* the holder's older write never arrives */
      w[0].net == SENT -> settle(0)
    }
  :: d_step { /* the holder's newer write never arrives */
      w[1].net == SENT -> settle(1)
    }
  od
}

/* ------------------------------------------------------------------------------------------------ a follower */
inline forget(i) { phase[i] = IDLE; closed[i] = 0; doubted[i] = 0; moved[i] = 0; wait[i] = 0 }

/* Rule 8: without a promise there is no silence. With presence, closed is enough. */
#ifdef BUG_NO_PROMISE_NEEDED
#define MAY_WAIT(i) true
#else
#define MAY_WAIT(i) promised[seen[i]]
#endif
#if PRESENCE || defined(BUG_CLOSED_AT_ONCE)
#define CLOSED_IS_ENOUGH true
#else
#define CLOSED_IS_ENOUGH false
#endif

/* Of the whole state only this matters once a follower has replaced the holder: can the holder act? */
inline replace() {
  replaced = 1; refuse_all();
  j = 0;
  do
  :: j < FOLLOWERS -> forget(j); seen[j] = 0; j++
  :: else -> break
  od;
  j = 0;
  do
  :: j <= REVISIONS -> named[j] = 0; promised[j] = 0; j++
  :: else -> break
  od;
  j = 0
}

/* The second answer: the same as the first one (rule 8)? */
inline compare(i) {
  if
  :: closed[i] && !open[ASKED_ABOUT(i) - 1] -> phase[i] = ANSWERED_AGAIN
  :: !closed[i] && open[ASKED_ABOUT(i) - 1] && !moved[i] -> phase[i] = ANSWERED_AGAIN
#ifdef BUG_OPEN_IS_NO_VETO
  :: closed[i] && open[ASKED_ABOUT(i) - 1] -> phase[i] = ANSWERED_AGAIN
#endif
  :: else -> forget(i)
  fi
}

proctype Follower(byte i) {
  byte j;
  do
  :: d_step { /* receives the next revision (rules 8, 9) */
      !replaced && seen[i] < last && phase[i] != WRITING ->
#ifdef BUG_CONFIRMED_CONNECTION
      if
      :: phase[i] == CONFIRMED && named[seen[i] + 1] == named[seen[i]]
      :: else -> forget(i)
      fi;
#elif defined(BUG_NOT_RESTARTED)
      if
      :: named[seen[i] + 1] == named[seen[i]]
      :: else -> forget(i)
      fi;
#elif defined(SPARE_JOINED_QUESTION)
      if
      :: phase[i] <= ANSWERED && named[seen[i] + 1] == named[seen[i]]
      :: else -> forget(i)
      fi;
#else
      forget(i);
#endif
#if FOLLOWERS == 1
      named[seen[i]] = 0; promised[seen[i]] = 0;
#endif
      seen[i]++
    }
  :: d_step { /* asks (rules 7, 8) */
      !replaced && phase[i] == IDLE && ASKED_ABOUT(i) != 0 && (CLOSED_IS_ENOUGH || MAY_WAIT(i)) -> phase[i] = ASKED;
#ifdef BUG_WAIT_FROM_ASKING
      wait[i] = WAIT
#endif
    }
  :: d_step { /* the server answers the first question */
      phase[i] == ASKED -> phase[i] = ANSWERED; closed[i] = !open[ASKED_ABOUT(i) - 1]; moved[i] = 0;
#ifdef BUG_IDLE_TIME
      if
      :: !closed[i] && idle < WAIT -> forget(i)
      :: else
      fi
#endif
    }
  :: d_step { /* receives the first answer (rule 8) */
      phase[i] == ANSWERED ->
#ifdef BUG_IDLE_TIME
      phase[i] = CONFIRMED;
#else
      if
      :: closed[i] && CLOSED_IS_ENOUGH -> phase[i] = CONFIRMED
#ifndef BUG_CLOSED_ONCE
      :: closed[i] && !CLOSED_IS_ENOUGH && MAY_WAIT(i) && !doubted[i] ->
        phase[i] = ASKED; closed[i] = 0; doubted[i] = 1
#define SAID_ENOUGH(i) (!closed[i] || doubted[i])
#else
#define SAID_ENOUGH(i) true
#endif
      :: !(closed[i] && CLOSED_IS_ENOUGH) && MAY_WAIT(i) && SAID_ENOUGH(i) ->
        phase[i] = WAITING; doubted[i] = 0;
#ifndef BUG_WAIT_FROM_ASKING
        wait[i] = WAIT
#endif
      :: else -> forget(i)
      fi
#endif
    }
#ifdef BUG_ONE_QUESTION
  :: d_step { /* does not ask again */
      phase[i] == WAITING && wait[i] == 0 -> phase[i] = CONFIRMED
    }
#elif defined(BUG_NO_LAST_QUESTION)
  :: d_step { /* does not ask again */
      phase[i] == WAITING && wait[i] == 0 && closed[i] -> phase[i] = CONFIRMED
    }
#endif
  :: d_step { /* asks again (rule 8) */
#ifdef BUG_SECOND_QUESTION_JOINED
      phase[i] == WAITING ->
#else
      phase[i] == WAITING && wait[i] == 0 ->
#endif
      phase[i] = ASKED_AGAIN
    }
  :: d_step { /* the server answers the second question */
      phase[i] == ASKED_AGAIN -> compare(i)
    }
  :: d_step { /* receives the second answer: confirmed (rule 9) */
      phase[i] == ANSWERED_AGAIN && wait[i] == 0 -> phase[i] = CONFIRMED;
#ifdef PROBE_SILENT
      if
      :: !closed[i] -> assert(false)
      :: else
      fi;
#endif
#ifdef PROBE_CLOSED
      if
      :: closed[i] -> assert(false)
      :: else
      fi;
#endif
      closed[i] = 0; moved[i] = 0
    }
  :: d_step { /* no answer, or another server's */
      phase[i] >= ASKED && phase[i] <= ANSWERED_AGAIN -> forget(i)
    }
#if WRONG > 0
  :: d_step { /* the first answer calls an open connection closed */
      phase[i] == ASKED && open[ASKED_ABOUT(i) - 1] && wrong < WRONG -> wrong++; phase[i] = ANSWERED; closed[i] = 1
    }
  :: d_step { /* the second answer calls an open connection closed */
      phase[i] == ASKED_AGAIN && open[ASKED_ABOUT(i) - 1] && wrong < WRONG -> wrong++;
      if
      :: closed[i] -> phase[i] = ANSWERED_AGAIN
      :: else -> forget(i)
      fi
    }
#endif
  :: d_step { /* writes against the revision confirmed (rule 9) */
      phase[i] == CONFIRMED && seen[i] == last -> forget(i); phase[i] = WRITING
    }
  :: d_step { /* its write is applied */
      phase[i] == WRITING -> replace(); rest()
    }
  :: d_step { /* its write never arrives */
      phase[i] == WRITING -> forget(i)
    }
#ifdef BUG_IDLE_TIME
  :: d_step { /* the server's wall clock is set forward */
      !stepped -> stepped = 1; idle = WAIT
    }
#endif
  od
}

/* ------------------------------------------------------------------------------------------------ time */
#define AGE(x) x = (x > 0 -> x - 1 : 0)

/* By the holder's clock. The end of the stretch is handled before anything that arrived is believed (rule 3). */
inline pass_holder() {
  j = 0;
  do
  :: j < CONNECTIONS * DEPTH -> AGE(toServer[j].left); AGE(toServer[j].proves); j++
  :: else -> break
  od;
  j = 0;
  do
  :: j < DEPTH -> AGE(echo[j].left); AGE(echo[j].proves); j++
  :: else -> break
  od;
  j = 0;
  AGE(heard);
  if
  :: stretch == 1 -> fall()
  :: stretch > 1 -> stretch--
  :: else
  fi;
  tidy()
}

inline pass_others() {
  j = 0;
  do
  :: j < FOLLOWERS -> AGE(wait[j]); j++
  :: else -> break
  od;
  j = 0;
#ifdef BUG_IDLE_TIME
  idle = (idle < WAIT -> idle + 1 : idle);
#endif
#if LAG < 255
  do
  :: j < CONNECTIONS -> lag[j] = (uncounted[j] -> lag[j] + 1 : 0); j++
  :: else -> break
  od;
  j = 0;
#endif
#if OVERLAP > 0
  if
  :: replaced && ACTS -> overlap++; assert(overlap <= OVERLAP)
  :: else
  fi;
#endif
  rest()
}

#if LAG == 255
#define COUNTED true
#elif CONNECTIONS == 1
#define COUNTED (!uncounted[0] || lag[0] < LAG)
#else
#define COUNTED ((!uncounted[0] || lag[0] < LAG) && (!uncounted[1] || lag[1] < LAG))
#endif

proctype Time() {
  byte j;
  do
  :: d_step { /* a tick */
      COUNTED -> pass_holder(); pass_others(); slip = (slip > 0 -> slip - 1 : 0)
    }
  :: d_step { /* a tick that the holder's clock misses */
      COUNTED && slip == 0 -> pass_others(); slip = SLIP_EVERY - 1
    }
  od
}

init {
  d_step {
    open[0] = 1;
    if
    :: !CAMPAIGN -> named[1] = 1; promised[1] = PROMISES
    :: else
    fi
  }
  atomic {
    run Holder();
    run Server(0);
#if CONNECTIONS > 1
    run Server(1);
#endif
    run Stream();
    run Follower(0);
#if FOLLOWERS > 1
    run Follower(1);
#endif
    run Time()
  }
}
