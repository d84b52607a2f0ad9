package android.nfc.tech;

import android.nfc.Tag;
import android.nfc.TagLostException;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;

/** As much of Android's class as the example needs. It speaks vpcd's words, and its card goes once it has given everything. */
public final class IsoDep {
    private static final byte GET_ENC_PASSWORD = 0x34;
    private static final byte GET_RESPONSE = (byte) 0xC0;

    private final Tag tag;
    private Socket socket;
    private byte answering;

    private IsoDep(Tag tag) {
        this.tag = tag;
    }

    /** As Android's. */
    public static IsoDep get(Tag tag) {
        return new IsoDep(tag);
    }

    /** As Android's. */
    public void connect() throws IOException {
        socket = new Socket(InetAddress.getLoopbackAddress(), tag.port);
        socket.setTcpNoDelay(true);
    }

    /** As Android's. */
    public boolean isConnected() {
        return socket != null && !socket.isClosed();
    }

    /** As Android's. */
    public void setTimeout(int millis) throws IOException {
        socket.setSoTimeout(millis);
    }

    /** As Android's. */
    public byte[] transceive(byte[] command) throws IOException {
        try {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            byte[] frame = new byte[command.length + 2];
            frame[0] = (byte) (command.length >> 8);
            frame[1] = (byte) command.length;
            System.arraycopy(command, 0, frame, 2, command.length);
            out.write(frame);
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readUnsignedShort()];
            in.readFully(answer);
            answering = command[1] == GET_RESPONSE ? answering : command[1];
            if (answering == GET_ENC_PASSWORD && answer[answer.length - 2] == (byte) 0x90) {
                close();
            }
            return answer;
        } catch (IOException lost) {
            throw new TagLostException();
        }
    }

    /** As Android's. */
    public void close() throws IOException {
        if (socket != null) {
            socket.close();
        }
    }
}
