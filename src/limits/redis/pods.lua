-- Says that this pod is there, and counts those that are. The answer is also the proof that Redis answers.
-- KEYS[1]  a sorted set of pods by when they were last seen   ARGV[1] the pod, '' to be forgotten below   ARGV[2] ms after which
-- one is gone   ARGV[3] the pod that leaves, or ''
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then redis.call('ZADD', KEYS[1], now, ARGV[1]) end
if ARGV[3] ~= '' then redis.call('ZREM', KEYS[1], ARGV[3]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 4)
return { redis.call('ZCARD', KEYS[1]), now }
