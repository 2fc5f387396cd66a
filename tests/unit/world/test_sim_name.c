/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated name server. */
#include "sim_net.h"

struct answer {
    int error;
    size_t come;
    struct duress_address first;
    uint64_t at_ns;
    struct net *net;
};

static void answer_came(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct answer *answer = context;
    answer->come++;
    answer->error = error;
    answer->at_ns = duress_sim_now_ns(answer->net->sim);
    if (count > 0)
        answer->first = addresses[0];
}

static struct answer net_ask(struct net *net, const char *name)
{
    struct answer answer = {.net = net};
    struct duress_resolution *resolution;
    assert_int_equal(duress_world_resolve(duress_sim_host_world(net->a), name, PORT, answer_came, &answer, &resolution),
                     DURESS_OK);
    assert_int_equal(net_rest(net), DURESS_E_END);
    assert_int_equal(answer.come, 1);
    return answer;
}

static void names_of_hosts_resolve_and_others_do_not(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        struct answer answer = net_ask(&net, "B");
        struct duress_address expected = duress_sim_host_address(net.b, PORT);
        assert_int_equal(answer.error, DURESS_OK);
        assert_true(duress_address_equal(&answer.first, &expected));
        assert_int_equal(net_ask(&net, "c").error, DURESS_E_NAME_NOT_FOUND);
        assert_int_equal(duress_sim_name_questions(net.sim, "b"), 1);
        answer = net_ask(&net, "localhost");
        expected = duress_address_loopback(PORT);
        assert_true(duress_address_equal(&answer.first, &expected));
        net_close(&net);
    }
}

static void name_faults_end_after_their_count(void **state)
{
    (void)state;
    static const enum duress_sim_name_fault faults[] = {
        DURESS_SIM_NAME_NOT_FOUND,
        DURESS_SIM_NAME_TEMPORARY,
        DURESS_SIM_NAME_SILENT,
    };
    static const int errors[] = {DURESS_E_NAME_NOT_FOUND, DURESS_E_NAME_TEMPORARY, DURESS_E_NAME_SILENT};
    for (size_t i = 0; i < 3; i++) {
        struct net net;
        struct duress_sim_name says = {.fault = faults[i], .fault_count = 2};
        net_open(&net, i);
        assert_int_equal(duress_sim_name_set(net.sim, "b", &says), DURESS_OK);
        assert_int_equal(net_ask(&net, "b").error, errors[i]);
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        struct answer answer = net_ask(&net, "b");
        assert_int_equal(answer.error, errors[i]);
        if (faults[i] == DURESS_SIM_NAME_SILENT)
            assert_int_equal(answer.at_ns, begun_ns + 6 * DURESS_S);
        assert_int_equal(net_ask(&net, "b").error, DURESS_OK);
        assert_int_equal(duress_sim_name_questions(net.sim, "b"), 3);
        net_close(&net);
    }
}

static void slow_wrong_and_given_addresses_are_answered(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, 1);
    struct duress_sim_name says = {.fault = DURESS_SIM_NAME_WRONG, .delay_ns = 2 * DURESS_S, .fault_count = 1};
    says.wrong = duress_sim_host_address(net.a, 1);
    says.address = duress_sim_host_address(net.b, 2);
    assert_int_equal(duress_sim_name_set(net.sim, "service", &says), DURESS_OK);
    uint64_t begun_ns = duress_sim_now_ns(net.sim);
    struct answer answer = net_ask(&net, "service");
    struct duress_address expected = duress_sim_host_address(net.a, PORT);
    assert_true(duress_address_equal(&answer.first, &expected));
    assert_true(answer.at_ns >= begun_ns + 2 * DURESS_S);
    answer = net_ask(&net, "service");
    expected = duress_sim_host_address(net.b, PORT);
    assert_true(duress_address_equal(&answer.first, &expected));
    says.delay_ns = 7 * DURESS_S; /* more than a resolver waits */
    assert_int_equal(duress_sim_name_set(net.sim, "service", &says), DURESS_OK);
    assert_int_equal(net_ask(&net, "service").error, DURESS_E_NAME_SILENT);
    net_close(&net);
}

static void question_of_a_killed_host_is_forgotten(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, 1);
    struct answer answer = {.net = &net};
    struct duress_resolution *resolution;
    struct duress_resolution *left;
    struct duress_world *world = duress_sim_host_world(net.a);
    assert_int_equal(duress_world_resolve(world, "b", PORT, answer_came, &answer, &resolution), DURESS_OK);
    assert_int_equal(duress_world_resolve(world, "b", PORT, answer_came, &answer, &left), DURESS_OK);
    duress_sim_host_kill(net.a);
    assert_int_equal(net_rest(&net), DURESS_E_END);
    assert_int_equal(answer.come, 0);
    duress_resolution_cancel(resolution);
    net_close(&net); /* frees the one that was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_hosts_resolve_and_others_do_not),
        cmocka_unit_test(name_faults_end_after_their_count),
        cmocka_unit_test(slow_wrong_and_given_addresses_are_answered),
        cmocka_unit_test(question_of_a_killed_host_is_forgotten),
    };
    return cmocka_run_group_tests_name("sim_name", tests, NULL, NULL);
}
