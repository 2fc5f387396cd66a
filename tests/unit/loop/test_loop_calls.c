/* SPDX-License-Identifier: Apache-2.0
 *
 * Deferred calls, posts from other threads, and what a run's end means. */
#include "loop_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* --- deferred calls --- */

struct diary {
    struct duress_loop *loop;
    char text[64];
    struct note *also_defer;
    struct note *undefer;
};

struct note {
    struct duress_later later;
    struct diary *diary;
    char letter;
};

static void diary_add(struct diary *diary, char letter)
{
    size_t length = strlen(diary->text);
    assert_true(length + 1 < sizeof diary->text);
    diary->text[length] = letter;
}

static void note_called(void *context)
{
    struct note *note = context;
    struct diary *diary = note->diary;
    diary_add(diary, note->letter);
    if (diary->also_defer != NULL)
        duress__loop_defer(diary->loop, &diary->also_defer->later);
    if (diary->undefer != NULL)
        duress__loop_undefer(diary->loop, &diary->undefer->later);
    diary->also_defer = diary->undefer = NULL;
}

static void note_init(struct note *note, struct diary *diary, char letter)
{
    *note = (struct note){.later = {.fn = note_called}, .diary = diary, .letter = letter};
    note->later.context = note;
}

static void deferred_calls_come_in_order_and_once(void **state)
{
    (void)state;
    struct diary diary = {.loop = loop_open()};
    struct note notes[4];
    for (size_t i = 0; i < 4; i++)
        note_init(&notes[i], &diary, (char)('a' + i));
    duress__loop_defer(diary.loop, &notes[0].later);
    duress__loop_defer(diary.loop, &notes[1].later);
    duress__loop_defer(diary.loop, &notes[0].later); /* queued already: keeps its place */
    duress__loop_defer(diary.loop, &notes[2].later);
    diary.also_defer = &notes[3];
    diary.undefer = &notes[1];
    assert_string_equal(diary.text, ""); /* nothing is called before it returns */
    loop_settle(diary.loop);
    assert_string_equal(diary.text, "acd");
    duress__loop_undefer(diary.loop, &notes[1].later); /* not queued: nothing */
    duress__loop_free(diary.loop);
}

struct letter_timer {
    struct duress_timer timer;
    struct diary *diary;
    struct note *defers;
    char letter;
};

static void letter_timer_fired(void *context)
{
    struct letter_timer *letter = context;
    diary_add(letter->diary, letter->letter);
    duress__loop_defer(letter->diary->loop, &letter->defers->later);
}

/* A deferred call belongs to the callback that deferred it: it comes before the next timer, though that is due. */
static void deferred_calls_come_before_the_next_timer(void **state)
{
    (void)state;
    struct diary diary = {.loop = loop_open()};
    struct note notes[2];
    struct letter_timer timers[2];
    for (size_t i = 0; i < 2; i++) {
        note_init(&notes[i], &diary, (char)('a' + i));
        timers[i] = (struct letter_timer){.diary = &diary, .defers = &notes[i], .letter = (char)('1' + i)};
        duress_timer_init(&timers[i].timer, letter_timer_fired, &timers[i]);
        duress__loop_arm(diary.loop, &timers[i].timer, i);
    }
    loop_settle(diary.loop);
    assert_string_equal(diary.text, "1a2b");
    duress__loop_free(diary.loop);
}

/* --- posts --- */

enum { THREADS = 4, POSTS = 20000 };

struct poster {
    struct duress_loop *loop;
    struct mail *mails;
    pthread_t thread;
    uint32_t next; /* what the loop expects from this thread */
};

struct mail {
    struct duress_post post;
    struct poster *poster;
    uint32_t number;
    uint64_t *received;
};

static void mail_received(void *context)
{
    struct mail *mail = context;
    assert_int_equal(mail->number, mail->poster->next); /* in the order of its thread */
    mail->poster->next++;
    ++*mail->received;
}

static void *poster_run(void *context)
{
    struct poster *poster = context;
    for (uint32_t i = 0; i < POSTS; i++)
        duress__loop_post(poster->loop, &poster->mails[i].post);
    return NULL;
}

static bool all_received(void *context)
{
    const uint64_t *received = context;
    return *received == (uint64_t)THREADS * POSTS;
}

static void posts_of_many_threads_all_arrive_in_order(void **state)
{
    (void)state;
    static struct mail mails[THREADS][POSTS];
    struct poster posters[THREADS];
    uint64_t received = 0;
    struct duress_loop *loop = loop_open();
    for (size_t t = 0; t < THREADS; t++) {
        posters[t] = (struct poster){.loop = loop, .mails = mails[t]};
        for (uint32_t i = 0; i < POSTS; i++)
            mails[t][i] = (struct mail){.post = {.fn = mail_received, .context = &mails[t][i]},
                                        .poster = &posters[t],
                                        .number = i,
                                        .received = &received};
        assert_int_equal(pthread_create(&posters[t].thread, NULL, poster_run, &posters[t]), 0);
    }
    loop_await(loop, all_received, &received);
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(posters[t].thread, NULL), 0);
    duress__loop_free(loop);
}

/* One post at a time, each sent only once the last was received: none may be slept through. */
struct echo {
    struct duress_loop *loop;
    struct duress_post post;
    _Atomic uint32_t received;
    uint32_t wanted;
};

static void echo_received(void *context)
{
    struct echo *echo = context;
    atomic_fetch_add(&echo->received, 1);
}

static void *echo_run(void *context)
{
    struct echo *echo = context;
    for (uint32_t i = 0; i < echo->wanted; i++) {
        duress__loop_post(echo->loop, &echo->post);
        while (atomic_load(&echo->received) <= i)
            (void)sched_yield();
    }
    return NULL;
}

static bool echo_is_done(void *context)
{
    struct echo *echo = context;
    return atomic_load(&echo->received) == echo->wanted;
}

static void no_post_is_slept_through(void **state)
{
    (void)state;
    struct echo echo = {.loop = loop_open(), .wanted = 5000};
    echo.post = (struct duress_post){.fn = echo_received, .context = &echo};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, echo_run, &echo), 0);
    loop_await(echo.loop, echo_is_done, &echo);
    assert_int_equal(pthread_join(thread, NULL), 0);
    duress__loop_free(echo.loop);
}

/* The post's wake-up is harvested in the very turn that posted, after that turn's posts were called. */
struct self_poster {
    struct duress_loop *loop;
    struct duress_timer timer;
    struct duress_post post;
    bool called;
};

static void self_poster_fired(void *context)
{
    struct self_poster *poster = context;
    duress__loop_post(poster->loop, &poster->post);
}

static void self_poster_called(void *context)
{
    struct self_poster *poster = context;
    poster->called = true;
}

static bool self_poster_is_done(void *context)
{
    const struct self_poster *poster = context;
    return poster->called;
}

static void a_post_from_inside_a_turn_is_not_slept_through(void **state)
{
    (void)state;
    struct self_poster poster = {.loop = loop_open()};
    poster.post = (struct duress_post){.fn = self_poster_called, .context = &poster};
    duress_timer_init(&poster.timer, self_poster_fired, &poster);
    struct end a;
    struct end b;
    tcp_pair_open(poster.loop, &a, &b);
    loop_settle(poster.loop);
    end_write(&a, "x", 1); /* nobody wants it, but it makes this turn ask epoll */
    duress__loop_arm(poster.loop, &poster.timer, 1);
    assert_int_equal(duress__loop_run_until(poster.loop, NULL, NULL, 0), DURESS_E_DEADLINE);
    assert_false(poster.called);
    uint64_t start_ns = duress__loop_now_ns(poster.loop);
    loop_await(poster.loop, self_poster_is_done, &poster);
    assert_true(duress__loop_now_ns(poster.loop) - start_ns < PATIENCE_NS / 2); /* woken by the post, by nothing else */
    duress__loop_free(poster.loop);
}

/* --- running --- */

static bool at_once(void *context)
{
    (void)context;
    return true;
}

static void a_run_that_is_done_runs_nothing(void **state)
{
    (void)state;
    struct diary diary = {.loop = loop_open()};
    struct note note;
    note_init(&note, &diary, 'a');
    duress__loop_defer(diary.loop, &note.later);
    assert_int_equal(duress__loop_run_until(diary.loop, at_once, NULL, DURESS_TIME_NEVER), DURESS_OK);
    assert_string_equal(diary.text, "");
    loop_settle(diary.loop);
    assert_string_equal(diary.text, "a");
    duress__loop_free(diary.loop);
}

static void a_run_ends_at_its_deadline(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    uint64_t deadline_ns = duress__loop_now_ns(loop) + 3 * DURESS_MS;
    assert_int_equal(duress__loop_run_until(loop, NULL, NULL, deadline_ns), DURESS_E_DEADLINE);
    assert_true(duress__loop_now_ns(loop) >= deadline_ns);
    duress__loop_free(loop);
}

static bool diary_has_one(void *context)
{
    const struct diary *diary = context;
    return diary->text[0] != '\0';
}

/* Three timers and three posts are due; the run ends after each event, and the rest is not lost. */
static void what_a_run_leaves_is_kept_for_the_next(void **state)
{
    (void)state;
    struct diary diary = {.loop = loop_open()};
    struct note notes[6];
    struct duress_post posts[3];
    struct duress_timer timers[3];
    for (size_t i = 0; i < 6; i++)
        note_init(&notes[i], &diary, (char)('a' + i));
    for (size_t i = 0; i < 3; i++) {
        posts[i] = (struct duress_post){.fn = note_called, .context = &notes[i]};
        duress__loop_post(diary.loop, &posts[i]);
        duress_timer_init(&timers[i], note_called, &notes[3 + i]);
        duress__loop_arm(diary.loop, &timers[i], i);
    }
    for (size_t i = 0; i < 6; i++) {
        loop_await(diary.loop, diary_has_one, &diary);
        assert_int_equal(diary.text[0], 'a' + i);
        assert_int_equal(diary.text[1], '\0');
        diary.text[0] = '\0';
    }
    duress__loop_free(diary.loop);
}

static void running_loop_runs_again(void *context)
{
    struct diary *diary = context;
    assert_int_equal(duress__loop_run_until(diary->loop, NULL, NULL, 0), DURESS_E_INVALID);
    diary_add(diary, 'x');
}

static void a_callback_cannot_run_the_loop(void **state)
{
    (void)state;
    struct diary diary = {.loop = loop_open()};
    struct duress_later later = {.fn = running_loop_runs_again, .context = &diary};
    duress__loop_defer(diary.loop, &later);
    loop_await(diary.loop, diary_has_one, &diary);
    duress__loop_free(diary.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred_calls_come_in_order_and_once),
        cmocka_unit_test(deferred_calls_come_before_the_next_timer),
        cmocka_unit_test(posts_of_many_threads_all_arrive_in_order),
        cmocka_unit_test(no_post_is_slept_through),
        cmocka_unit_test(a_post_from_inside_a_turn_is_not_slept_through),
        cmocka_unit_test(a_run_that_is_done_runs_nothing),
        cmocka_unit_test(a_run_ends_at_its_deadline),
        cmocka_unit_test(what_a_run_leaves_is_kept_for_the_next),
        cmocka_unit_test(a_callback_cannot_run_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
