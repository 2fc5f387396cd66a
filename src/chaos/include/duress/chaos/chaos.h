/* SPDX-License-Identifier: Apache-2.0
 *
 * Chaos tests: written once, run in two worlds.
 *
 *     CHAOS_TEST(network, connection_drop_mid_reply, "N4: …")
 *     {
 *         struct chaos_service *echo = chaos_service_start(chaos, "echo");
 *         struct chaos_link *link = chaos_link_open(chaos, echo);
 *         chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
 *         struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 2 * DURESS_S);
 *         CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
 *         CHAOS_EXPECT(answer.failure.ambiguous);
 *     }
 *
 * Live, a service is a process of its own, a link is a proxy on real sockets, and a name is answered by a name server;
 * simulated, all of it happens in virtual time from a seed. Seed 0 is the plain schedule, without drawn delays.
 *
 * The oracle is the service's arrival log, not the caller's counters. Every fault that a test orders must be shown to
 * have happened (the link counted it, the child died of the signal, the kernel's counter moved): a run without that
 * evidence is "not proven", which counts as failed.
 *
 * Everything a test makes belongs to its |chaos| and is taken down with it, whether the test passed, failed or stopped
 * in the middle. A test runs on one thread; calls that wait run the world meanwhile. */
#ifndef DURESS_CHAOS_CHAOS_H
#define DURESS_CHAOS_CHAOS_H

#include <duress/agent/agent.h>
#include <duress/toxic/link.h>

#ifdef __cplusplus
extern "C" {
#endif

struct chaos;         /* one run of one test */
struct chaos_service; /* a service under test */
struct chaos_link;    /* a path to a service that can be hurt */
struct chaos_call;    /* a call that was begun and not yet waited for */

/* --- tests --- */

enum {
    CHAOS_WORLD_LIVE = 1 << 0,
    CHAOS_WORLD_SIM = 1 << 1,
    CHAOS_WORLD_BOTH = CHAOS_WORLD_LIVE | CHAOS_WORLD_SIM,
};

typedef void (*chaos_test_fn)(struct chaos *chaos);

struct chaos_test {
    const char *group;
    const char *name;
    const char *summary; /* one line; begins with the plan's row, if there is one */
    unsigned worlds;
    chaos_test_fn fn;
    const char *file;
    int line;
    struct chaos_test *next; /* private */
};

/* Called by CHAOS_TEST before main(). */
DURESS_API void chaos_test_register(struct chaos_test *test);

#define CHAOS__TEST(test_group, test_name, test_summary, test_worlds)                                                  \
    static void chaos_body_##test_group##_##test_name(struct chaos *chaos);                                            \
    static struct chaos_test chaos_entry_##test_group##_##test_name = {                                                \
        .group = #test_group,                                                                                          \
        .name = #test_name,                                                                                            \
        .summary = (test_summary),                                                                                     \
        .worlds = (test_worlds),                                                                                       \
        .fn = chaos_body_##test_group##_##test_name,                                                                   \
        .file = __FILE__,                                                                                              \
        .line = __LINE__,                                                                                              \
    };                                                                                                                 \
    __attribute__((constructor)) static void chaos_enter_##test_group##_##test_name(void)                              \
    {                                                                                                                  \
        chaos_test_register(&chaos_entry_##test_group##_##test_name);                                                  \
    }                                                                                                                  \
    static void chaos_body_##test_group##_##test_name(struct chaos *chaos)

/* A test of both worlds; the body follows, with |chaos| in scope. */
#define CHAOS_TEST(group, name, summary) CHAOS__TEST(group, name, summary, CHAOS_WORLD_BOTH)

/* A test that can only be live (of a foreign program); listed as such. */
#define CHAOS_TEST_LIVE(group, name, summary) CHAOS__TEST(group, name, summary, CHAOS_WORLD_LIVE)

/* The runner: runs the registered tests as the arguments say (--help lists them) and prints the verdict. Returns the
 * exit code: 0 all passed, 1 a test failed or was not proven, 2 usage. Also the entrance of the processes that live
 * tests start, so call it first thing in main(). */
DURESS_API int chaos_main(int argc, char **argv);

/* --- the run --- */

/* The caller's world: of the test's own agents. */
DURESS_API struct duress_world *chaos_world(struct chaos *chaos);
DURESS_API bool chaos_is_live(const struct chaos *chaos);
DURESS_API uint64_t chaos_now_ns(struct chaos *chaos);

/* How much later than the rule something may be seen: what the network drew on the path (simulated; 0 with seed 0),
 * what a busy machine needs (live). For upper bounds only: nothing may ever be early. */
DURESS_API uint64_t chaos_slack_ns(struct chaos *chaos);

/* A number in [low, high] from the run's seed; |low| with seed 0 and live. */
DURESS_API uint64_t chaos_draw(struct chaos *chaos, uint64_t low, uint64_t high);

/* Lets time pass: runs the world for |duration_ns|. For tests in which the passing of time is the subject. */
DURESS_API void chaos_pass(struct chaos *chaos, uint64_t duration_ns);

/* Runs the world until |done| or until |within_ns| have passed; says whether |done|. */
DURESS_API bool chaos_until(struct chaos *chaos, duress_done_fn done, void *context, uint64_t within_ns);

/* Runs |fn| on the world's thread |delay_ns| from now. */
DURESS_API void chaos_after(struct chaos *chaos, uint64_t delay_ns, duress_later_fn fn, void *context);

/* Ends the run as skipped: |reason| says what is missing and how to get it. Does not return. */
DURESS_API DURESS_NORETURN void chaos_skip(struct chaos *chaos, const char *format, ...) DURESS_PRINTF(2, 3);

/* A line in the run's timeline, printed when it fails. */
DURESS_API void chaos_note(struct chaos *chaos, const char *format, ...) DURESS_PRINTF(2, 3);

/* --- services --- */

/* A service that answers only what another one answers: a link of a chain. */
struct chaos_onward {
    struct chaos_link *link;   /* over which it asks; NULL: it answers by itself */
    uint64_t timeout_ns;       /* of each; 0: none */
    uint32_t failures_to_open; /* a circuit breaker inside of the service, around that; 0: none */
    uint64_t recovery_ns;      /* the breaker's; 0: its default */
};

/* How a command shows that it is ready. */
enum chaos_ready {
    CHAOS_READY_PORT = 0, /* something listens on its port */
    CHAOS_READY_HTTP,     /* GET of |ready_text| ("/") is answered with 2xx or 3xx there */
    CHAOS_READY_LINE,     /* its output has |ready_text| */
};

struct chaos_service_options {
    const char *name;           /* also the host's name in a simulated world; at most 32 bytes */
    uint64_t reply_after_ns;    /* thinking time of each request */
    uint32_t slow_count;        /* only the first so many requests think; 0: all */
    uint32_t fail_count;        /* the first so many requests are answered by an error */
    uint64_t reply_bytes;       /* the reply's length, or that of each chunk; 0: echoes the request */
    uint32_t in_flight_max;     /* of one connection; 0: the server's default */
    uint32_t requests_max;      /* of all connections; beyond, it sheds them, and logs none; 0: the server's default */
    uint64_t work_ns;           /* time of its one processor that each request takes, before it thinks; others wait */
    uint64_t hold_ns;           /* the same, but it only holds up others, as a lock or a slow disk does */
    struct chaos_onward onward; /* requests whose content does not begin with "local" are asked there, after thinking */
    uint64_t leak_bytes;    /* memory that each request takes, and the service keeps; an error where there is none */
    uint64_t journal_bytes; /* what each request appends to a file and syncs; an error where that fails */
    uint64_t disk_bytes;    /* the file lies on a disk of its own of that size; 0: where temporary files lie */
    uint32_t chunk_count;   /* a stream is answered in so many chunks, the n-th being the request and " n"; 0: in one */
    uint64_t chunk_gap_ns;  /* from each chunk to the next; the last one is the end */
    /* A command of the user's as the service, live only: a program and its arguments, up to a NULL. "{port}" in them is
     * replaced by its port, which is in the environment as PORT, too. Of the above only the name means anything to it,
     * and it keeps no log of arrivals; but it can be crashed, stopped, frozen and starved. Its output is shown when the
     * test fails. It and its children, but for those that leave its process group, go with the test. */
    const char *const *command;
    uint16_t port; /* 0: one that is free */
    enum chaos_ready ready;
    const char *ready_text;
};

/* Starts a service that answers each request after its thinking time, and waits until it listens.
 *
 *     struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 50 * DURESS_MS);
 */
#define chaos_service_start(chaos, ...)                                                                                \
    chaos_service_start_with(chaos, &(struct chaos_service_options){.name = __VA_ARGS__})
/* The same with the options of a struct, which are copied. */
DURESS_API struct chaos_service *chaos_service_start_with(struct chaos *chaos,
                                                          const struct chaos_service_options *options);

/* SIGKILL, and waits for the child's death. Restart begins a new process on the same port with an empty memory; the
 * arrival log goes on. */
DURESS_API void chaos_service_kill(struct chaos_service *service);
DURESS_API void chaos_service_restart(struct chaos_service *service);

#define CHAOS_ARRIVAL_TEXT_BYTES_MAX 48

struct chaos_arrival {
    uint64_t at_ns;                          /* on the caller's clock; both sides of a live test read the same one */
    uint64_t ended_ns;                       /* the service answered, or gave up; 0: not yet */
    uint64_t connection_number;              /* of the service, from 1 */
    bool cancelled;                          /* its connection went away before the answer */
    uint32_t chunk_count;                    /* of its answer, that the service has made so far */
    char text[CHAOS_ARRIVAL_TEXT_BYTES_MAX]; /* the request's content, cut to fit */
};

/* How many well-formed requests have reached the service, as itself logged. */
DURESS_API uint64_t chaos_service_arrivals(struct chaos_service *service);

/* The |index|-th of them, from 0; zeroed where there is none (or beyond the log's 4096). */
DURESS_API struct chaos_arrival chaos_service_arrival(struct chaos_service *service, uint64_t index);

/* How many of them were cancelled by their connection's end. */
DURESS_API uint64_t chaos_service_cancelled(struct chaos_service *service);

/* --- links --- */

/* A path to |service| through a proxy. */
DURESS_API struct chaos_link *chaos_link_open(struct chaos *chaos, struct chaos_service *service);

struct chaos_agent_options {
    uint64_t connect_timeout_ns; /* 0 = the remote agent's default */
    uint32_t connections_max;
    uint32_t in_flight_max;
    uint64_t idle_timeout_ns; /* likewise; 1: a connection is used once */
    const char *host;         /* a name to be resolved (chaos_name_set()); NULL: the link's address */
};

/* Where |link| listens: for clients of one's own. */
DURESS_API struct duress_address chaos_link_address(struct chaos_link *link);

/* A remote agent that asks over |link|; |chaos| keeps it. Its attempts are noted in the timeline. */
DURESS_API struct duress_agent *chaos_link_agent(struct chaos_link *link);
#define chaos_link_agent_with(link, ...) chaos_link_agent_of(link, &(struct chaos_agent_options){__VA_ARGS__})
/* chaos_link_agent() with the options of a struct, which are copied. */
DURESS_API struct duress_agent *chaos_link_agent_of(struct chaos_link *link, const struct chaos_agent_options *options);

/* |chaos| takes over the caller's reference of |agent|. */
DURESS_API void chaos_keep(struct chaos *chaos, struct duress_agent *agent);

/* Adds a toxic to all connections of the link, open and to come; |toxic|->id and toxicity may be 0 (given by chaos;
 * all). Returns the id. */
DURESS_API uint64_t chaos_link_toxic(struct chaos_link *link, const struct duress_toxic *toxic);
DURESS_API void chaos_link_toxic_remove(struct chaos_link *link, uint64_t id);
/* Removes all toxics that chaos_link_toxic() and its like have added. */
DURESS_API void chaos_link_clear(struct chaos_link *link);

/* Both directions together delay by |latency_ns|: half each way. */
DURESS_API void chaos_link_latency(struct chaos_link *link, uint64_t latency_ns);

/* Connections are cut after |after_bytes| of |direction|. */
DURESS_API uint64_t chaos_link_cut_after(struct chaos_link *link, enum duress_direction direction, uint64_t after_bytes,
                                         enum duress_cut_how how);

/* All open connections are reset at both ends, now. */
DURESS_API void chaos_link_cut(struct chaos_link *link);

/* Nobody listens any more: connects are refused, open connections are closed. Up: as before. */
DURESS_API void chaos_link_down(struct chaos_link *link);
DURESS_API void chaos_link_up(struct chaos_link *link);

/* Connects are not answered (true): SYNs vanish. Open connections go on. */
DURESS_API void chaos_link_silence(struct chaos_link *link, bool silent);

enum chaos_partition {
    CHAOS_PARTITION_UPSTREAM = 1,   /* what the client sends does not arrive */
    CHAOS_PARTITION_DOWNSTREAM = 2, /* what the server sends does not arrive */
    CHAOS_PARTITION_BOTH = 3,
};
/* Bytes of open connections are held (as TCP retransmits in vain) and SYNs vanish, until healed; then what was held
 * arrives. */
DURESS_API void chaos_link_partition(struct chaos_link *link, enum chaos_partition partition);
DURESS_API void chaos_link_heal(struct chaos_link *link);

/* The instant of the link's last ordered fault (as ordered, or when a toxic tripped, whichever is later). */
DURESS_API uint64_t chaos_fired_at_ns(struct chaos_link *link);

/* Attempts that the link's agents have begun, and the |index|-th (from 0) of them. */
struct chaos_attempt {
    uint64_t started_ns;
    uint64_t ended_ns; /* 0: still running */
    int error;         /* DURESS_E_CANCELLED: given up from above */
};
DURESS_API uint64_t chaos_link_attempts(struct chaos_link *link);
DURESS_API struct chaos_attempt chaos_link_attempt(struct chaos_link *link, uint64_t index);

/* Does |action| to |link| when the |count|-th attempt (from 1) on it has ended. */
typedef void (*chaos_link_action_fn)(struct chaos_link *link);
DURESS_API void chaos_link_on_attempt_end(struct chaos_link *link, uint64_t count, chaos_link_action_fn action);

/* Does |action| to |link| when the |count|-th chunk (from 1) of a stream, of all streams on it together, has come. */
DURESS_API void chaos_link_on_chunk(struct chaos_link *link, uint64_t count, chaos_link_action_fn action);

/* Open connections between the client and the link: 0 shows that nothing is left open. */
DURESS_API uint64_t chaos_link_open_connections(struct chaos_link *link);

/* Bytes that |direction| has let through so far, on all connections. */
DURESS_API uint64_t chaos_link_bytes(struct chaos_link *link, enum duress_direction direction);

/* Connections that the link accepted so far. */
DURESS_API uint64_t chaos_link_accepted(struct chaos_link *link);

/* --- names --- */

enum chaos_name_fault {
    CHAOS_NAME_OK = 0,
    CHAOS_NAME_NOT_FOUND,
    CHAOS_NAME_TEMPORARY, /* SERVFAIL */
    CHAOS_NAME_SILENT,
};

/* What the name server says of |host| from now on: the link's address, or a fault for the first |fault_count| questions
 * (0: all). */
DURESS_API void chaos_name_set(struct chaos_link *link, const char *host, enum chaos_name_fault fault,
                               uint32_t fault_count);
/* How many lookups of |host| reached the name server. */
DURESS_API uint64_t chaos_name_questions(struct chaos *chaos, const char *host);

/* --- asking --- */

struct chaos_answer {
    int error;
    struct duress_failure failure; /* zeroed on DURESS_OK */
    uint64_t started_ns;
    uint64_t ended_ns;
    size_t content_bytes;
    char text[256]; /* the reply's content, cut to fit, NUL-terminated */
};

/* Asks and waits; the call's deadline is |within_ns| from now. Not idempotent. */
DURESS_API struct chaos_answer chaos_ask(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                         uint64_t within_ns);
DURESS_API struct chaos_answer chaos_ask_idempotent(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                                    uint64_t within_ns);

/* Begins a call; wait for it with chaos_await(), which gives its answer. */
DURESS_API struct chaos_call *chaos_begin(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                          uint64_t within_ns, bool idempotent);
DURESS_API struct chaos_answer chaos_await(struct chaos *chaos, struct chaos_call *call);
DURESS_API bool chaos_call_has_ended(const struct chaos_call *call);
DURESS_API void chaos_call_cancel(struct chaos_call *call);

/* --- asking for a stream --- */

struct chaos_chunk {
    uint64_t at_ns;
    size_t content_bytes;
    char text[CHAOS_ARRIVAL_TEXT_BYTES_MAX]; /* the chunk's content, cut to fit, NUL-terminated */
};

struct chaos_stream {
    struct chaos_answer end;          /* how it ended; its reply is the last chunk */
    size_t chunk_count;               /* that came, also before a failure */
    const struct chaos_chunk *chunks; /* in order; |chaos| keeps them */
};

/* Asks for a reply in chunks and waits for its end; the call's deadline is |within_ns| from now. Not idempotent. */
DURESS_API struct chaos_stream chaos_ask_stream(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                                uint64_t within_ns);
DURESS_API struct chaos_stream chaos_ask_stream_idempotent(struct chaos *chaos, struct duress_agent *agent,
                                                           const char *text, uint64_t within_ns);

/* Begins such a call; wait for its end with chaos_await_stream(). */
DURESS_API struct chaos_call *chaos_begin_stream(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                                 uint64_t within_ns, bool idempotent);
DURESS_API struct chaos_stream chaos_await_stream(struct chaos *chaos, struct chaos_call *call);
/* The chunks that have come so far. */
DURESS_API size_t chaos_call_chunk_count(const struct chaos_call *call);

/* --- expectations: the first that fails ends the run --- */

#define CHAOS_EXPECT(condition)                                                                                        \
    ((condition) ? (void)0 : chaos__fail(chaos, __FILE__, __LINE__, "expected: %s", #condition))

#define CHAOS_EXPECT_EQUAL(seen, expected)                                                                             \
    chaos__expect_number(chaos, __FILE__, __LINE__, #seen, (uint64_t)(seen), '=', #expected, (uint64_t)(expected))
#define CHAOS_EXPECT_AT_MOST(seen, limit)                                                                              \
    chaos__expect_number(chaos, __FILE__, __LINE__, #seen, (uint64_t)(seen), '<', #limit, (uint64_t)(limit))
#define CHAOS_EXPECT_AT_LEAST(seen, limit)                                                                             \
    chaos__expect_number(chaos, __FILE__, __LINE__, #seen, (uint64_t)(seen), '>', #limit, (uint64_t)(limit))

/* A code of duress/error.h, such as that of an attempt. */
#define CHAOS_EXPECT_CODE(seen, code) chaos__expect_code(chaos, __FILE__, __LINE__, #seen, seen, code)

/* The answer is a failure of that code. */
#define CHAOS_EXPECT_ERROR(answer, code) chaos__expect_error(chaos, __FILE__, __LINE__, #answer, &(answer), code)
/* The answer is a reply with that text. */
#define CHAOS_EXPECT_REPLY(answer, expected)                                                                           \
    chaos__expect_reply(chaos, __FILE__, __LINE__, #answer, &(answer), expected)
/* |started| + |wait| <= |seen| <= |started| + |wait| + slack: on time, and never early. */
#define CHAOS_EXPECT_ON_TIME(seen_ns, started_ns, wait_ns)                                                             \
    chaos__expect_on_time(chaos, __FILE__, __LINE__, #seen_ns, seen_ns, started_ns, wait_ns)
#define CHAOS_EXPECT_ARRIVALS(service, count)                                                                          \
    chaos__expect_number(chaos, __FILE__, __LINE__, "arrivals at " #service, chaos_service_arrivals(service), '=',     \
                         #count, (uint64_t)(count))
/* Nothing is open between the client and the link. What a call that was given up leaves behind is closed at once, but a
 * busy machine may see it a moment later: waits for the slack. */
#define CHAOS_EXPECT_NOTHING_OPEN(link) chaos__expect_nothing_open(chaos, __FILE__, __LINE__, #link, link)

/* Private to the macros. chaos__fail() returns only inside a callback of the world. */
DURESS_API void chaos__fail(struct chaos *chaos, const char *file, int line, const char *format, ...)
    DURESS_PRINTF(4, 5);
DURESS_API void chaos__expect_number(struct chaos *chaos, const char *file, int line, const char *seen_text,
                                     uint64_t seen, char relation, const char *limit_text, uint64_t limit);
DURESS_API void chaos__expect_code(struct chaos *chaos, const char *file, int line, const char *seen_text, int seen,
                                   int code);
DURESS_API void chaos__expect_error(struct chaos *chaos, const char *file, int line, const char *answer_text,
                                    const struct chaos_answer *answer, int code);
DURESS_API void chaos__expect_reply(struct chaos *chaos, const char *file, int line, const char *answer_text,
                                    const struct chaos_answer *answer, const char *expected);
DURESS_API void chaos__expect_on_time(struct chaos *chaos, const char *file, int line, const char *seen_text,
                                      uint64_t seen_ns, uint64_t started_ns, uint64_t wait_ns);
DURESS_API void chaos__expect_nothing_open(struct chaos *chaos, const char *file, int line, const char *link_text,
                                           struct chaos_link *link);

#ifdef __cplusplus
}
#endif

#endif
