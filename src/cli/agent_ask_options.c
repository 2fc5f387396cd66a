/* SPDX-License-Identifier: Apache-2.0
 *
 * Each layer has one option, whose value is what people think of first; what may follow a comma comes next. */
#include "agent_ask_options.h"

#include <getopt.h>
#include <string.h>

#include "arguments.h"

enum { REPEAT_MAX = 100000000, CONCURRENCY_MAX = 10000 };
#define DURATION_NS_MAX (24 * 3600 * DURESS_S)
#define DEADLINE_NS_DEFAULT (60 * DURESS_S)

enum option_id {
    OPTION_TIMEOUT = 1000,
    OPTION_RETRIES,
    OPTION_RETRY_BUDGET,
    OPTION_BREAKER,
    OPTION_RATE,
    OPTION_BULKHEAD,
    OPTION_HEDGE,
    OPTION_CACHE,
    OPTION_DEADLINE,
    OPTION_REPEAT,
    OPTION_CONCURRENCY,
    OPTION_IDEMPOTENT,
    OPTION_STREAM,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_CONNECT_TIMEOUT,
    OPTION_HEADER,
    OPTION_CA_FILE,
    OPTION_INSECURE,
    OPTION_HELP,
};

void ask_help_print(FILE *out, const char *program)
{
    (void)fprintf(
        out,
        "Usage: %s [OPTION]... URL MESSAGE\n"
        "Asks the agent at URL (http, https, tcp://HOST:PORT, unix:///PATH), prints its answers, and on standard "
        "error\n"
        "a table of outcomes and latencies. MESSAGE - is read from standard input.\n"
        "\n"
        "  --deadline TIME        of a call, whatever happens within; default 60s, 'none' for none\n"
        "  --repeat N             ask so often; default 1\n"
        "  --concurrency N        so many at once; default 1\n"
        "  --idempotent           may be executed twice: needed for retries after a failure that leaves open whether\n"
        "                         the request was executed, and for --hedge and --cache\n"
        "  --stream               ask for chunks, and print them as they come\n"
        "\n"
        "The layers, outermost first; without its option a layer is left out:\n"
        "  --cache TIME[,STALE]   keep answers for TIME, and for STALE more in place of a failure\n"
        "  --bulkhead N[,WAITING] so many calls at once, others wait: WAITING of them at most (0: refused)\n"
        "  --rate N[/TIME][,BURST] so many calls a second (or in TIME), BURST at once; others wait\n"
        "  --retries N[,BACKOFF]  so many more attempts after failures; the first wait is up to BACKOFF (default 1s)\n"
        "  --retry-budget N       of all calls together: N retries at once, then one for each ten calls\n"
        "  --hedge TIME|pNN       a second attempt after TIME, or after so many percent of the answer times (p95)\n"
        "  --breaker N[,RECOVERY] open after N failures in a row, for RECOVERY (default 60s)\n"
        "  --timeout TIME         of an attempt\n"
        "\n"
        "  --json                 print a line of JSON for each answer, chunk and failure, and the figures as JSON\n"
        "  --quiet                no table, and no word of single failures\n"
        "  --connect-timeout TIME of name, connect and TLS together; default 10s\n"
        "  --header 'NAME: VALUE' sent with HTTP requests; may be given several times\n"
        "  --ca-file FILE         certificates to trust, instead of the machine's\n"
        "  --insecure             accept any certificate: anybody in between can read and answer\n"
        "  --help                 this text\n"
        "\n"
        "TIME has a unit: ns, us, ms, s, m, h. Exit codes: 0 all answered, 1 some failed, 2 usage, 130 interrupted.\n",
        program);
}

static bool timeout_read(struct ask_options *options, const char *text)
{
    options->stack.timeout = &options->timeout;
    return argument_duration(options->program, "--timeout", text, 1, DURATION_NS_MAX, &options->timeout.limit_ns);
}

static bool deadline_read(struct ask_options *options, const char *text)
{
    options->deadline_ns = 0;
    return strcmp(text, "none") == 0 ||
           argument_duration(options->program, "--deadline", text, 1, DURATION_NS_MAX, &options->deadline_ns);
}

static bool retries_read(struct ask_options *options, const char *text)
{
    char count[ARGUMENT_PART_BYTES_MAX];
    const char *backoff = argument_split(text, ",", count);
    options->stack.retry = &options->retry;
    if (!argument_count(options->program, "--retries", count, 0, DURESS_RETRY_ATTEMPTS_MAX - 1,
                        &options->retry.attempts_max))
        return false;
    options->retry.attempts_max++; /* the first attempt is no retry */
    return backoff == NULL ||
           argument_duration(options->program, "--retries", backoff, 1, DURATION_NS_MAX, &options->retry.backoff_ns);
}

static bool retry_budget_read(struct ask_options *options, const char *text)
{
    struct duress_retry_budget_options budget = {.capacity = 0};
    options->stack.retry_budget = &options->retry_budget;
    return argument_count(options->program, "--retry-budget", text, 1, DURESS_RETRY_BUDGET_CAPACITY_MAX,
                          &budget.capacity) &&
           duress_retry_budget_init(&options->retry_budget, &budget, NULL) == DURESS_OK;
}

static bool breaker_read(struct ask_options *options, const char *text)
{
    char count[ARGUMENT_PART_BYTES_MAX];
    const char *recovery = argument_split(text, ",", count);
    struct duress_breaker_options *breaker = &options->breaker.breaker;
    options->stack.breaker = &options->breaker;
    return argument_count(options->program, "--breaker", count, 1, DURESS_BREAKER_COUNT_MAX,
                          &breaker->failures_to_open) &&
           (recovery == NULL ||
            argument_duration(options->program, "--breaker", recovery, 1, DURATION_NS_MAX, &breaker->recovery_ns));
}

static bool rate_read(struct ask_options *options, const char *text)
{
    char rate[ARGUMENT_PART_BYTES_MAX];
    char count[ARGUMENT_PART_BYTES_MAX];
    const char *burst = argument_split(text, ",", rate);
    const char *period = argument_split(rate, "/", count);
    struct duress_bucket_options *bucket = &options->rate_limiter.bucket;
    options->stack.rate_limiter = &options->rate_limiter;
    options->rate_limiter.limit.waiting_max = DURESS_RATE_LIMIT_WAITING_MAX_MAX;
    if (!argument_count(options->program, "--rate", count, 1, DURESS_BUCKET_RATE_MAX, &bucket->rate))
        return false;
    if (period != NULL && !argument_duration(options->program, "--rate", period, DURESS_BUCKET_PER_NS_MIN,
                                             DURESS_BUCKET_PER_NS_MAX, &bucket->per_ns))
        return false;
    return burst == NULL ||
           argument_count(options->program, "--rate", burst, 1, DURESS_BUCKET_BURST_MAX, &bucket->burst);
}

static bool bulkhead_read(struct ask_options *options, const char *text)
{
    char count[ARGUMENT_PART_BYTES_MAX];
    const char *waiting = argument_split(text, ",", count);
    struct duress_bulkhead_layer_options *bulkhead = &options->bulkhead;
    options->stack.bulkhead = bulkhead;
    bulkhead->waiting_max = DURESS_BULKHEAD_WAITING_MAX_MAX;
    if (!argument_count(options->program, "--bulkhead", count, 1, DURESS_BULKHEAD_LIMIT_MAX,
                        &bulkhead->bulkhead.limit) ||
        (waiting != NULL && !argument_count(options->program, "--bulkhead", waiting, 0, DURESS_BULKHEAD_WAITING_MAX_MAX,
                                            &bulkhead->waiting_max)))
        return false;
    if (bulkhead->waiting_max == 0)
        bulkhead->mode = DURESS_BULKHEAD_REFUSE;
    return true;
}

/* "50ms", or "p95". */
static bool hedge_read(struct ask_options *options, const char *text)
{
    struct duress_hedge_options *hedge = &options->hedge.hedge;
    options->stack.hedge = &options->hedge;
    if (text[0] != 'p')
        return argument_duration(options->program, "--hedge", text, 1, DURESS_HEDGE_DURATION_NS_MAX, &hedge->delay_ns);
    char percent[ARGUMENT_PART_BYTES_MAX];
    (void)snprintf(percent, sizeof percent, "%s%%", text + 1);
    if (!argument_share(options->program, "--hedge", percent, &hedge->quantile_ppm))
        return false;
    return (hedge->quantile_ppm >= DURESS_HEDGE_QUANTILE_PPM_MIN &&
            hedge->quantile_ppm <= DURESS_HEDGE_QUANTILE_PPM_MAX) ||
           argument_refuse(options->program, "--hedge", text, "p50 to p99.9999");
}

static bool cache_read(struct ask_options *options, const char *text)
{
    char ttl[ARGUMENT_PART_BYTES_MAX];
    const char *stale = argument_split(text, ",", ttl);
    options->stack.cache = &options->cache;
    return argument_duration(options->program, "--cache", ttl, 1, DURATION_NS_MAX, &options->cache.cache.ttl_ns) &&
           (stale == NULL ||
            argument_duration(options->program, "--cache", stale, 1, DURATION_NS_MAX, &options->cache.cache.stale_ns));
}

static bool header_read(struct ask_options *options, const char *text)
{
    if (options->header_count == DURESS_HTTP_HEADERS_MAX) {
        (void)fprintf(stderr, "%s: --header: given more than %d times\n", options->program, DURESS_HTTP_HEADERS_MAX);
        return false;
    }
    options->headers[options->header_count++] = text;
    return true;
}

static bool flag_take(bool *flag)
{
    *flag = true;
    return true;
}

static bool option_take(struct ask_options *options, int id, const char *text)
{
    const char *program = options->program;
    switch (id) {
    case OPTION_TIMEOUT:
        return timeout_read(options, text);
    case OPTION_RETRIES:
        return retries_read(options, text);
    case OPTION_RETRY_BUDGET:
        return retry_budget_read(options, text);
    case OPTION_BREAKER:
        return breaker_read(options, text);
    case OPTION_RATE:
        return rate_read(options, text);
    case OPTION_BULKHEAD:
        return bulkhead_read(options, text);
    case OPTION_HEDGE:
        return hedge_read(options, text);
    case OPTION_CACHE:
        return cache_read(options, text);
    case OPTION_DEADLINE:
        return deadline_read(options, text);
    case OPTION_REPEAT:
        return argument_number(program, "--repeat", text, 1, REPEAT_MAX, &options->repeat_count);
    case OPTION_CONCURRENCY:
        return argument_count(program, "--concurrency", text, 1, CONCURRENCY_MAX, &options->concurrency);
    case OPTION_IDEMPOTENT:
        return flag_take(&options->idempotent);
    case OPTION_STREAM:
        return flag_take(&options->stream);
    case OPTION_JSON:
        return flag_take(&options->json);
    case OPTION_QUIET:
        return flag_take(&options->quiet);
    case OPTION_CONNECT_TIMEOUT:
        return argument_duration(program, "--connect-timeout", text, 1, DURATION_NS_MAX, &options->connect_timeout_ns);
    case OPTION_HEADER:
        return header_read(options, text);
    case OPTION_CA_FILE:
        options->ca_file = text;
        return true;
    case OPTION_INSECURE:
        return flag_take(&options->insecure);
    case OPTION_HELP:
    case 'h':
        return flag_take(&options->help);
    default:
        return false; /* getopt_long() has said why */
    }
}

/* What each value by itself could not tell. */
static bool consistent(const struct ask_options *options)
{
    const char *wrong = NULL;
    if (options->stack.hedge != NULL && !options->idempotent)
        wrong = "--hedge: only with --idempotent, as both attempts may be executed";
    else if (options->stack.cache != NULL && !options->idempotent)
        wrong = "--cache: only with --idempotent, as it answers in the agent's place";
    else if (options->stack.cache != NULL && options->stream)
        wrong = "--cache: not with --stream, as streams are not kept";
    else if (options->stack.retry_budget != NULL && options->stack.retry == NULL)
        wrong = "--retry-budget: only with --retries";
    else if (options->stream && options->concurrency > 1 && !options->json)
        wrong = "--stream: with --concurrency above 1 only with --json, as chunks of several calls would be mixed up";
    if (wrong != NULL)
        (void)fprintf(stderr, "%s: %s\n", options->program, wrong);
    return wrong == NULL;
}

static bool plain_read(struct ask_options *options, int argc, char **argv)
{
    const char *wrong = NULL;
    if (argc - optind < 1)
        wrong = "the URL is missing";
    else if (argc - optind < 2)
        wrong = "the message is missing";
    if (wrong != NULL) {
        (void)fprintf(stderr, "%s: %s\n", options->program, wrong);
        return false;
    }
    if (argc - optind > 2) {
        (void)fprintf(stderr, "%s: '%s' given, no argument is allowed after the message\n", options->program,
                      argv[optind + 2]);
        return false;
    }
    options->url = argv[optind];
    options->message = argv[optind + 1];
    return consistent(options);
}

bool ask_options_read(struct ask_options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"retries", required_argument, NULL, OPTION_RETRIES},
        {"retry-budget", required_argument, NULL, OPTION_RETRY_BUDGET},
        {"breaker", required_argument, NULL, OPTION_BREAKER},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"bulkhead", required_argument, NULL, OPTION_BULKHEAD},
        {"hedge", required_argument, NULL, OPTION_HEDGE},
        {"cache", required_argument, NULL, OPTION_CACHE},
        {"deadline", required_argument, NULL, OPTION_DEADLINE},
        {"repeat", required_argument, NULL, OPTION_REPEAT},
        {"concurrency", required_argument, NULL, OPTION_CONCURRENCY},
        {"idempotent", no_argument, NULL, OPTION_IDEMPOTENT},
        {"stream", no_argument, NULL, OPTION_STREAM},
        {"json", no_argument, NULL, OPTION_JSON},
        {"quiet", no_argument, NULL, OPTION_QUIET},
        {"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
        {"header", required_argument, NULL, OPTION_HEADER},
        {"ca-file", required_argument, NULL, OPTION_CA_FILE},
        {"insecure", no_argument, NULL, OPTION_INSECURE},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    *options = (struct ask_options){
        .program = argv[0],
        .repeat_count = 1,
        .concurrency = 1,
        .deadline_ns = DEADLINE_NS_DEFAULT,
    };
    options->stack.metrics = &options->metrics;
    optind = 1;
    for (;;) {
        int id = getopt_long(argc, argv, "h", table, NULL);
        if (id == -1)
            return plain_read(options, argc, argv);
        if (!option_take(options, id, optarg))
            return false;
        if (options->help)
            return true;
    }
}
