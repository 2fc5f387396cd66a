/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limit, rule by rule. That what it tells a queue comes true is shown with its layer
 * (tests/unit/middleware/test_middleware_rate_limiter.c). */
#include "policy_test.h"

#include <duress/policy/rate_limit.h>

#define T0 (1000 * DURESS_S)

/* 10 tokens a second, 5 at once, all of them taken at T0. */
static struct duress_bucket emptied(void)
{
    struct duress_bucket bucket;
    struct duress_bucket_options options = {.rate = 10, .burst = 5};
    assert_int_equal(duress_bucket_init(&bucket, &options, NULL), DURESS_OK);
    assert_true(duress_bucket_acquire(&bucket, 5, T0, NULL));
    return bucket;
}

static struct duress_rate_limit_options limit_with(struct duress_rate_limit_options options)
{
    struct duress_rate_limit_options complete;
    struct duress_bucket bucket = emptied();
    assert_int_equal(duress_rate_limit_options_init(&complete, &options, &bucket, NULL), DURESS_OK);
    return complete;
}

static struct duress_rate_decision asks(const struct duress_rate_limit_options *options, struct duress_bucket *bucket,
                                        uint32_t ahead, uint64_t deadline_ns, uint64_t now_ns)
{
    struct duress_rate_request request = {.ahead = ahead, .since_ns = T0, .deadline_ns = deadline_ns};
    return duress_rate_limit_decide(options, bucket, &request, now_ns);
}

static void is(struct duress_rate_decision decision, enum duress_rate_verdict verdict, enum duress_rate_reason reason,
               uint64_t at_ns)
{
    assert_int_equal(decision.verdict, verdict);
    assert_string_equal(duress_rate_reason_name(decision.reason), duress_rate_reason_name(reason));
    assert_int_equal(decision.at_ns, at_ns);
}

static void a_call_waits_for_its_tokens_and_takes_them_when_it_asks_again(void **state)
{
    (void)state;
    struct duress_rate_limit_options options = limit_with((struct duress_rate_limit_options){.tokens_per_request = 2});
    struct duress_bucket bucket = emptied();
    uint64_t ready_ns = T0 + 200 * DURESS_MS;
    is(asks(&options, &bucket, 0, DURESS_TIME_NEVER, T0), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING, ready_ns);
    is(asks(&options, &bucket, 0, DURESS_TIME_NEVER, ready_ns - 1), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING, ready_ns);
    is(asks(&options, &bucket, 0, DURESS_TIME_NEVER, ready_ns), DURESS_RATE_PASS, DURESS_RATE_BY_NOTHING, ready_ns);
    assert_int_equal(duress_bucket_tokens(&bucket, ready_ns), 0);
}

static void who_waits_is_not_passed_though_there_are_tokens(void **state)
{
    (void)state;
    struct duress_rate_limit_options options = limit_with((struct duress_rate_limit_options){.tokens_per_request = 2});
    struct duress_bucket bucket = emptied();
    uint64_t now_ns = T0 + 200 * DURESS_MS;
    is(asks(&options, &bucket, 1, DURESS_TIME_NEVER, now_ns), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING,
       T0 + 400 * DURESS_MS);
    is(asks(&options, &bucket, 9, DURESS_TIME_NEVER, now_ns), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING,
       T0 + 2 * DURESS_S);
    assert_int_equal(duress_bucket_tokens(&bucket, now_ns), 2);
}

static void a_call_whose_deadline_comes_first_is_refused_at_once(void **state)
{
    (void)state;
    struct duress_rate_limit_options options = limit_with((struct duress_rate_limit_options){.waiting_max = 5});
    struct duress_bucket bucket = emptied();
    uint64_t ready_ns = T0 + 300 * DURESS_MS;
    is(asks(&options, &bucket, 2, ready_ns + 1, T0), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING, ready_ns);
    is(asks(&options, &bucket, 2, ready_ns, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_DEADLINE, ready_ns);
    is(asks(&options, &bucket, 0, T0 + 1, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_DEADLINE, T0 + 100 * DURESS_MS);
}

static void the_queue_and_the_wait_have_their_limits(void **state)
{
    (void)state;
    struct duress_rate_limit_options options =
        limit_with((struct duress_rate_limit_options){.waiting_max = 3, .wait_ns_max = 250 * DURESS_MS});
    struct duress_bucket bucket = emptied();
    is(asks(&options, &bucket, 1, DURESS_TIME_NEVER, T0), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING,
       T0 + 200 * DURESS_MS);
    is(asks(&options, &bucket, 2, DURESS_TIME_NEVER, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_WAIT,
       T0 + 300 * DURESS_MS);
    is(asks(&options, &bucket, 3, DURESS_TIME_NEVER, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_QUEUE,
       T0 + 400 * DURESS_MS);
    options = limit_with((struct duress_rate_limit_options){.wait_ns_max = 300 * DURESS_MS});
    is(asks(&options, &bucket, 2, DURESS_TIME_NEVER, T0), DURESS_RATE_WAIT, DURESS_RATE_BY_NOTHING,
       T0 + 300 * DURESS_MS); /* exactly as long as allowed */
    assert_int_equal(options.waiting_max, 1000);
    is(asks(&options, &bucket, 1000, T0, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_QUEUE, T0 + 100100 * DURESS_MS);
    is(asks(&options, &bucket, UINT32_MAX, T0, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_QUEUE,
       T0 + (UINT64_C(1) << 32) * 100 * DURESS_MS);
}

static void refusing_never_waits_and_says_when_to_come_back(void **state)
{
    (void)state;
    struct duress_rate_limit_options options =
        limit_with((struct duress_rate_limit_options){.mode = DURESS_RATE_LIMIT_REFUSE});
    struct duress_bucket bucket = emptied();
    uint64_t ready_ns = T0 + 100 * DURESS_MS;
    is(asks(&options, &bucket, 0, DURESS_TIME_NEVER, T0), DURESS_RATE_REFUSE, DURESS_RATE_BY_RATE, ready_ns);
    is(asks(&options, &bucket, 0, DURESS_TIME_NEVER, ready_ns), DURESS_RATE_PASS, DURESS_RATE_BY_NOTHING, ready_ns);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct duress_rate_limit_options options;
        const char *detail;
    } all[] = {
        {{.mode = (enum duress_rate_limit_mode)2}, "rate_limit.mode: 2 given, allowed 0 to 1"},
        {{.tokens_per_request = 6}, "rate_limit.tokens_per_request: 6 given, allowed 1 to 5"},
        {{.waiting_max = 1000001}, "rate_limit.waiting_max: 1000001 given, allowed 0 to 1000000"},
        {{.mode = DURESS_RATE_LIMIT_REFUSE, .waiting_max = 1},
         "rate_limit.waiting_max: 1 given, must be 0 where calls are refused"},
        {{.mode = DURESS_RATE_LIMIT_REFUSE, .wait_ns_max = 7},
         "rate_limit.wait_ns_max: 7 given, must be 0 where calls are refused"},
    };
    struct duress_bucket bucket = emptied();
    struct duress_rate_limit_options complete;
    struct duress_failure why;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(duress_rate_limit_options_init(&complete, &all[i].options, &bucket, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, all[i].detail);
    }
    assert_int_equal(duress_rate_limit_options_init(&complete, NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "bucket: NULL given, must be a pointer");
    assert_int_equal(duress_rate_limit_options_init(NULL, NULL, &bucket, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "options: NULL given, must be a pointer");
    assert_int_equal(duress_rate_limit_options_init(&complete, NULL, &bucket, &why), DURESS_OK);
    assert_int_equal(complete.mode, DURESS_RATE_LIMIT_WAIT);
    assert_int_equal(complete.tokens_per_request, 1);
    assert_int_equal(complete.wait_ns_max, DURESS_TIME_NEVER);
    assert_string_equal(duress_rate_reason_name((enum duress_rate_reason)77), "not refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_waits_for_its_tokens_and_takes_them_when_it_asks_again),
        cmocka_unit_test(who_waits_is_not_passed_though_there_are_tokens),
        cmocka_unit_test(a_call_whose_deadline_comes_first_is_refused_at_once),
        cmocka_unit_test(the_queue_and_the_wait_have_their_limits),
        cmocka_unit_test(refusing_never_waits_and_says_when_to_come_back),
        cmocka_unit_test(bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
