import java.nio.file.Path
import java.time.Duration
import kotlin.io.path.readText
import kotlin.system.exitProcess
import onetap.Event
import onetap.OneTapException
import onetap.Outcome
import onetap.Payment
import onetap.Till
import onetap.Transaction

/**
 * A terminal in one page: pays with the card in a reader of this machine, at a server over TLS.
 *
 *     java -cp terminal.jar:onetap.jar:jna.jar:kotlin-stdlib.jar TerminalKt https://bank.example:8443 ca.pem till.token journal 79927398713 4.20
 */
fun main(arguments: Array<String>) {
    val (server, ca, token, journal, account) = arguments
    val config = Till.Config("POS00001", server)
        .ca(Path.of(ca).readText())
        .token(Path.of(token).readText())
        .journal(Path.of(journal))
    arguments.getOrNull(6)?.let(config::reader)
    val executed = try {
        config.open().use { till ->
            till.resolveAll()
            till.pays(Transaction(account, "Coffee Shop", arguments[5], "EUR", "Order 17"))
        }
    } catch (error: OneTapException) {
        complain(error)
        false
    }
    exitProcess(if (executed) 0 else 1)
}

/** What an earlier run left open comes first: never pay again what is not known. */
private fun Till.resolveAll() {
    for (attempt in attempts()) {
        show(resolve(attempt.id(), Duration.ofSeconds(30)))
        forget(attempt.id())
    }
}

private fun Till.pays(transaction: Transaction): Boolean = pay(transaction).use { payment ->
    for (event in payment) {
        when {
            event.step() == Event.Step.TAP -> println("Put the card on the reader.")
            event.what() == Event.What.TAP_AGAIN -> println("Tap again: ${event.cause()}; ${event.cure()}.")
            event.step() == Event.Step.HOLDER -> payment.askTheHolder()
            else -> event.outcome()?.let { outcome ->
                show(outcome)
                return outcome.result() == Outcome.Result.EXECUTED
            }
        }
    }
    false
}

/** Asks until something was typed that can be a password. */
private fun Payment.askTheHolder() {
    while (true) {
        println("Read the card's display, confirm there, and type the joint password:")
        try {
            typeIn(readln())
            return
        } catch (error: OneTapException) {
            complain(error)
        }
    }
}

private fun show(outcome: Outcome) = println(
    when (val receipt = outcome.receipt()) {
        null -> "not executed (${outcome.result()}): transaction ${outcome.id()}"
        else -> "executed: ${receipt.minor()} ${receipt.currency()} (minor units) to ${receipt.payeeName()}, transaction ${outcome.id()}"
    },
)

private fun complain(error: OneTapException) = System.err.println("${error.what()}; what to do: ${error.cure()}")
