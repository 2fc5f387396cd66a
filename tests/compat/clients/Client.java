// SPDX-License-Identifier: Apache-2.0
//
// toxiproxy-java against our daemon, whose port is in API_PORT: create, toggle, every toxic, update, reset, errors; with
// bytes through the proxy. (It has no call for populate.)
import eu.rekawek.toxiproxy.Proxy;
import eu.rekawek.toxiproxy.ToxiproxyClient;
import eu.rekawek.toxiproxy.model.Toxic;
import eu.rekawek.toxiproxy.model.ToxicDirection;
import eu.rekawek.toxiproxy.model.ToxicList;
import eu.rekawek.toxiproxy.model.toxic.Bandwidth;
import eu.rekawek.toxiproxy.model.toxic.Latency;
import eu.rekawek.toxiproxy.model.toxic.Slicer;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Arrays;

public class Client {
    interface Call {
        void run() throws Exception;
    }

    static void check(String what, boolean good) {
        if (!good)
            throw new AssertionError(what);
    }

    static void refused(String text, Call call) throws Exception {
        try {
            call.run();
        } catch (IOException error) {
            check(text + ": " + error.getMessage(), error.getMessage().contains(text));
            return;
        }
        throw new AssertionError("not refused: " + text);
    }

    static String echoServer() throws IOException {
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread accepting = new Thread(() -> {
            while (true) {
                try {
                    Socket socket = listener.accept();
                    Thread serving = new Thread(() -> {
                        try {
                            socket.getInputStream().transferTo(socket.getOutputStream());
                            socket.close();
                        } catch (IOException ended) {
                            return;
                        }
                    });
                    serving.setDaemon(true);
                    serving.start();
                } catch (IOException ended) {
                    return;
                }
            }
        });
        accepting.setDaemon(true);
        accepting.start();
        return "127.0.0.1:" + listener.getLocalPort();
    }

    static Socket connect(Proxy proxy) throws IOException {
        String listen = proxy.getListen();
        int at = listen.lastIndexOf(':');
        Socket socket = new Socket(listen.substring(0, at), Integer.parseInt(listen.substring(at + 1)));
        socket.setSoTimeout(20000);
        return socket;
    }

    static double roundTrip(Socket socket, String text) throws IOException {
        long begun = System.nanoTime();
        socket.getOutputStream().write(text.getBytes());
        byte[] got = socket.getInputStream().readNBytes(text.length());
        check("echo", Arrays.equals(got, text.getBytes()));
        return (System.nanoTime() - begun) / 1e6;
    }

    static void checkToggle(Proxy proxy) throws Exception {
        Socket socket = connect(proxy);
        roundTrip(socket, "up");
        proxy.disable();
        check("disabled", !proxy.isEnabled());
        check("the connection ends", socket.getInputStream().read() == -1);
        try {
            connect(proxy);
            throw new AssertionError("it listens though it is disabled");
        } catch (ConnectException expected) {
            check("refused", true);
        }
        String listen = proxy.getListen();
        proxy.enable();
        check("the same port", proxy.isEnabled() && proxy.getListen().equals(listen));
        roundTrip(connect(proxy), "up again");
    }

    static void checkToxics(Proxy proxy) throws Exception {
        ToxicList toxics = proxy.toxics();
        for (ToxicDirection direction : ToxicDirection.values()) {
            String end = "-" + direction;
            toxics.latency("latency" + end, direction, 100).setJitter(10);
            toxics.bandwidth("bandwidth" + end, direction, 1000);
            toxics.slowClose("slow_close" + end, direction, 10);
            toxics.timeout("timeout" + end, direction, 5000);
            toxics.resetPeer("reset_peer" + end, direction, 5000);
            toxics.slicer("slicer" + end, direction, 64, 10).setSizeVariation(32);
            toxics.limitData("limit_data" + end, direction, 1000).setToxicity(0.5f);
        }
        check("all are listed", toxics.getAll().size() == 14);
        Latency latency = toxics.get("latency-UPSTREAM", Latency.class);
        check("latency", latency.getLatency() == 100 && latency.getJitter() == 10 && latency.getToxicity() == 1);
        check("its stream", latency.getStream() == ToxicDirection.UPSTREAM);
        Slicer slicer = toxics.get("slicer-DOWNSTREAM", Slicer.class);
        check("slicer", slicer.getAverageSize() == 64 && slicer.getSizeVariation() == 32 && slicer.getDelay() == 10);
        check("toxicity", toxics.get("limit_data-UPSTREAM").getToxicity() == 0.5f);
        for (Toxic toxic : toxics.getAll())
            toxic.remove();
        check("none is left", toxics.getAll().isEmpty());
    }

    static void checkEffects(Proxy proxy) throws Exception {
        Socket socket = connect(proxy);
        Latency latency = proxy.toxics().latency("slow", ToxicDirection.DOWNSTREAM, 150);
        check("latency", roundTrip(socket, "slow") >= 150);
        latency.setLatency(300);
        check("more latency", roundTrip(socket, "slower") >= 300);
        latency.remove();
        check("none", roundTrip(socket, "fast") < 300);
        // How a connection is cut by Testcontainers: nothing passes, and nothing is lost.
        Bandwidth cut = proxy.toxics().bandwidth("CUT_CONNECTION_UPSTREAM", ToxicDirection.UPSTREAM, 0);
        socket.getOutputStream().write("held".getBytes());
        check("nothing passes", socket.getInputStream().available() == 0);
        cut.remove();
        check("nothing is lost", new String(socket.getInputStream().readNBytes(4)).equals("held"));
        socket.close();
    }

    public static void main(String[] arguments) throws Exception {
        ToxiproxyClient client = new ToxiproxyClient("127.0.0.1", Integer.parseInt(System.getenv("API_PORT")));
        String upstream = echoServer();
        check("version", client.version().contains("2.12.0"));
        check("no proxies", client.getProxies().isEmpty());
        Proxy proxy = client.createProxy("web", "localhost:0", upstream);
        check("its address", proxy.getListen().startsWith("127.0.0.1:") && proxy.isEnabled());
        refused("proxy already exists", () -> client.createProxy("web", "localhost:0", upstream));
        refused("proxy not found", () -> client.getProxy("nobody"));
        check("nobody", client.getProxyOrNull("nobody") == null);
        refused("toxic not found", () -> proxy.toxics().get("nothing"));
        checkToggle(proxy);
        checkToxics(proxy);
        checkEffects(proxy);
        proxy.setUpstream("127.0.0.1:1");
        check("moved", client.getProxy("web").getUpstream().equals("127.0.0.1:1"));
        proxy.setListen("127.0.0.1:0");
        proxy.toxics().timeout("t", ToxicDirection.UPSTREAM, 1);
        proxy.disable();
        client.reset();
        Proxy reset = client.getProxy("web");
        check("reset", reset.isEnabled() && reset.toxics().getAll().isEmpty());
        check("all", client.getProxies().size() == 1);
        proxy.delete();
        refused("/proxies/web", proxy::delete); // a 404, of which this client tells the URL alone
        System.out.println("toxiproxy-java: passed");
        System.exit(0);
    }
}
