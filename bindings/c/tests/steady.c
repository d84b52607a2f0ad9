/* Pays again and again; the test looks at this process from outside. steady SERVER CA TOKEN ACCOUNT PORT COUNT */
#include "socket_port.h"
#include <stdio.h>

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);
    if (!file || !text || !fread(text, 1, 65535, file))
        abort();
    fclose(file);
    return text;
}

static void check(onetap_status status)
{
    if (status != ONETAP_OK) {
        fprintf(stderr, "%d: %s; %s\n", status, onetap_cause(), onetap_cure());
        exit(EXIT_FAILURE);
    }
}

static void pay(onetap_handle till, const onetap_transaction *coffee)
{
    onetap_handle payment;
    const onetap_event *event;
    bool taken;
    char line[128];
    check(onetap_pay(till, coffee, NULL, &payment));
    do {
        check(onetap_next(payment, 60000, &event));
        if (event->what == ONETAP_WHAT_BEGAN && event->step == ONETAP_STEP_HOLDER) {
            printf("type\n");
            fflush(stdout);
            if (!fgets(line, sizeof line, stdin))
                abort();
            check(onetap_type_in(payment, line, &taken));
        }
    } while (event->what != ONETAP_WHAT_ENDED);
    if (event->outcome->result != ONETAP_END_EXECUTED || event->outcome->receipt->minor != 1)
        abort();
    check(onetap_close(payment));
}

int main(int argc, char **argv)
{
    socket_card card;
    onetap_port port = socket_port(&card, argv[argc - 2]);
    char *ca = read_file(argv[2]), *token = read_file(argv[3]);
    onetap_config config = {.size = sizeof config, .terminal = "POS00001", .server = argv[1], .ca = ca,
                            .token = token, .port = &port};
    onetap_transaction coffee = {.payee_account = argv[4], .payee_name = "Coffee Shop", .amount = "0.01",
                                 .currency = "EUR", .reference = "Order 17"};
    onetap_handle till;
    size_t count;
    check(onetap_till(&config, &till));
    for (int paid = 1; paid <= atoi(argv[argc - 1]); paid++) {
        pay(till, &coffee);
        check(onetap_count(&count));
        printf("paid %d handles %zu\n", paid, count);
        fflush(stdout);
        /* The test looks, and says when to go on. */
        if (getchar() == EOF)
            abort();
    }
    check(onetap_close(till));
    check(onetap_count(&count));
    if (count != 0 || card.released != 1)
        abort();
    free(ca);
    free(token);
    return EXIT_SUCCESS;
}
