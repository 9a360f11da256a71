-- What wrk asks for: one path, or with {n} in it a number that goes up; headers follow as "Name: value".
-- At the end it prints one line of JSON.

local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    for at = 2, #args do
        local name, value = args[at]:match("^([^:]+):%s*(.*)$")
        wrk.headers[name] = value
    end
    local before, after = args[1]:match("^(.*){n}(.*)$")
    if before then
        local count = number * 100000000
        request = function()
            count = count + 1
            return wrk.format("GET", before .. count .. after)
        end
    else
        local same = wrk.format("GET", args[1])
        request = function() return same end
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "failed": %d, "p50": %.1f, "p99": %.1f, "p999": %.1f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
