-- What wrk asks for. Arguments: the path, the first number, how many threads there are, how many milliseconds a client
-- waits before it asks, on average (0: it does not), headers as "Name: value".
-- {n} in the path is a number that goes up; {n:50} goes up to 49 and begins again.
-- At the end it prints one line of JSON.

local made = 0

function setup(thread)
    thread:set("number", made)
    made = made + 1
end

-- The pieces of the path: texts, and between them the numbers.
local function pieces(path, first, threads)
    local found, from = {}, 1
    for before, around, after in path:gmatch("(){n:?(%d*)}()") do
        around = tonumber(around)
        -- Threads count in parts of their own; those that go around begin at equal distances.
        local start = around and math.floor(around * number / threads) or first + number * 100000000
        found[#found + 1] = path:sub(from, before - 1)
        found[#found + 1] = {at = start, around = around}
        from = after
    end
    found[#found + 1] = path:sub(from)
    return found
end

local function next_path(found)
    local texts = {}
    for at, piece in ipairs(found) do
        if type(piece) == "table" then
            texts[at] = piece.around and piece.at % piece.around or piece.at
            piece.at = piece.at + 1
        else
            texts[at] = piece
        end
    end
    return table.concat(texts)
end

function init(args)
    for at = 5, #args do
        local name, value = args[at]:match("^([^:]+):%s*(.*)$")
        wrk.headers[name] = value
    end
    local wait = tonumber(args[4])
    if wait > 0 then
        math.randomseed(number + 1)
        -- Exponential: clients that ask independently of each other, not all at once.
        delay = function() return math.floor(0.5 - wait * math.log(1 - math.random())) end
    end
    local found = pieces(args[1], tonumber(args[2]), tonumber(args[3]))
    if #found == 1 then
        local same = wrk.format("GET", args[1])
        request = function() return same end
    else
        request = function() return wrk.format("GET", next_path(found)) end
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
