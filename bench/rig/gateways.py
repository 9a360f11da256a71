"""What is measured: the programs, how each is started, and the rows that drive them."""

import contextlib
import subprocess
import tempfile
from pathlib import Path
from string import Template

import peers
from load import CONF
from measure import Row, polls
from process import Program, free_port

# What the fixed upstream answers: the status of a job, as OpenAI gives it.
BODY = (
    '{"id":"video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5","object":"video","model":"sora-2-pro",'
    '"status":"in_progress","progress":33,"created_at":1758941485,"completed_at":null,"expires_at":null,"error":null,'
    '"prompt":"A calico cat playing a piano on stage, in the style of an old film with a slow zoom",'
    '"remixed_from_video_id":null,"seconds":"8","size":"1280x720"}'
)

# nginx makes these folders at start, and the ones it was built with are root's: its module, and the directive.
TEMPORARY = {
    "": "client_body_temp_path", "http_proxy_module": "proxy_temp_path", "http_fastcgi_module": "fastcgi_temp_path",
    "http_uwsgi_module": "uwsgi_temp_path", "http_scgi_module": "scgi_temp_path",
}

# Providers of vidgate, by the part of a config that differs. $http and $https are the upstream.
PROVIDERS = {
    "off": "base_url: 'http://$http/v1', poll: {cache: false}",
    "on": "base_url: 'http://$http/v1'",
    "hot": "base_url: 'http://$http/v1', poll: {fresh_for: 1h}",
    "tls": "base_url: 'https://$https/v1', poll: {cache: false}, ca_file: '$folder/cert.pem'",
}
EVERY_PROVIDER = "kind: openai, max_concurrent: 100000, credentials: {api_key: sk-bench}"


class House:
    """Starts programs in a folder of its own, and stops all of them when it is left, however it is left."""

    def __init__(self, options):
        self.options = options
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vidgate-bench-")))
            # nginx drops root before it makes files.
            self.folder.chmod(0o755)
            self.stack = stack
            self.certificate()
            self.upstream = self.start_upstream()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, name, command, port, **more):
        """Starts a program, which runs until the house is left or it is stopped."""
        log = self.folder / f"{name}.log"
        program = Program(name, [str(word) for word in command], port, log, **more)
        self.stack.callback(program.stop)
        return program

    def write(self, template, to, **values):
        path = self.folder / to
        path.write_text(Template((CONF / template).read_text()).substitute(folder=self.folder, **values))
        return path

    def certificate(self):
        """A self-signed one, for the upstream's TLS, which can be trusted as it is."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             # rustls takes no issuer for a server.
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")],
            check=True, capture_output=True)

    def nginx(self, name, template, port, **values):
        built = subprocess.run([self.options.nginx, "-V"], capture_output=True, text=True).stderr
        temporary = "".join(f"{directive} {self.folder}/{name}-{directive};\n    "
                            for module, directive in TEMPORARY.items() if f"--without-{module or '?'}" not in built)
        conf = self.write(template, f"{name}.conf", temporary=temporary, **values)
        errors = self.folder / f"{name}.first.err"
        return self.start(name, [self.options.nginx, "-e", errors, "-p", self.folder, "-c", conf], port)

    def start_upstream(self):
        self.http, self.https = free_port(), free_port()
        return self.nginx("upstream", "upstream.nginx", self.http, http=self.http, tls=self.https, body=BODY)

    def start_nginx(self):
        self.nginx_ports = {name: free_port() for name in ("http", "http2", "to_tls")}
        return self.nginx("nginx", "proxy.nginx", self.nginx_ports["http"], threads=self.options.threads,
                          upstream=self.http, upstream_tls=self.https, **self.nginx_ports)

    def start_bare(self, tls=False):
        port = free_port()
        command = [self.options.passthrough, f"127.0.0.1:{port}", f"127.0.0.1:{self.https if tls else self.http}",
                   "--threads", self.options.threads, *(["--tls"] if tls else [])]
        return self.start("bare-tls" if tls else "bare", command, port)

    @contextlib.contextmanager
    def vidgate(self, name, providers=None, admin=False):
        """One of its own, for as long as the block runs."""
        program = self.start_vidgate(f"vidgate-{name}", providers, admin)
        try:
            yield program
        finally:
            program.stop()

    def start_vidgate(self, name, providers=None, admin=False):
        """`providers` maps names to parts of a config; the port of the admin address is `program.admin`."""
        port, admin_port = free_port(), free_port() if admin else None
        known = {"http": f"127.0.0.1:{self.http}", "https": f"localhost:{self.https}", "folder": self.folder}
        lines = (f"  {key}: {{{EVERY_PROVIDER}, {Template(part).substitute(known)}}}"
                 for key, part in (providers or PROVIDERS).items())
        config = self.write("vidgate.yaml", f"{name}.yaml", listen=port, threads=self.options.threads,
                            admin=f"127.0.0.1:{admin_port}" if admin else "null", providers="\n".join(lines))
        program = self.start(name, [self.options.vidgate, "serve", "--config", config], port)
        program.admin = admin_port
        return program


class Gateways:
    """The programs that most sections share, and their rows."""

    def __init__(self, house):
        self.house = house
        self.nginx = house.start_nginx()
        self.bare = house.start_bare()
        self.bare_tls = house.start_bare(tls=True)
        self.vidgate = house.start_vidgate("vidgate")
        self.peers = list(house.options.peer)
        if house.options.peers:
            self.peers.append(peers.start_litellm(house))

    def vidgate_row(self, name, title, id_):
        return Row(name, f"vidgate, {title}", polls(self.vidgate.port, id_), self.vidgate.pid)

    def nginx_row(self, port="http"):
        return Row("nginx", "nginx `proxy_pass`", polls(self.house.nginx_ports[port]), self.nginx.pid)

    def rows(self, *names):
        """Rows by name, in the order asked for."""
        house = self.house
        known = {
            "direct": Row("direct", "the upstream, asked directly", polls(house.http), house.upstream.pid),
            "nginx": self.nginx_row(),
            "nginx_h2": self.nginx_row("http2"),
            "nginx_tls": self.nginx_row("to_tls"),
            "bare": Row("bare", "bare Pingora passthrough", polls(self.bare.port), self.bare.pid),
            "bare_tls": Row("bare", "bare Pingora passthrough", polls(self.bare_tls.port), self.bare_tls.pid),
            "off": self.vidgate_row("off", "poll cache off", "video_{n}:off"),
            "distinct": self.vidgate_row("distinct", "distinct jobs", "video_{n}:on"),
            "hot": self.vidgate_row("hot", "one hot job", "video_1:hot"),
            "tls": self.vidgate_row("off", "poll cache off", "video_{n}:tls"),
        }
        return [known[name] for name in names]
